"""The products and the cart of the demo shop. The URL contains the cart: `?item=101&item=103`."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode

MOST_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Product:
    """`picture`: the name of a file in `static/pictures`."""

    id: int
    name: str
    price: Decimal
    picture: str
    text: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products under one heading. `label`: clicks on them have it."""

    title: str
    label: str
    products: tuple[Product, ...]


PRODUCTS = (
    Product(
        101, "Enamel kettle", Decimal("49.00"), "kettle", "Boils two litres, sings when it is done, and lasts longer than its warranty."
    ),
    Product(
        102, "Wool throw", Decimal("89.00"), "throw", "Undyed wool in three shades of sheep. Warm in winter, welcome on most evenings."
    ),
    Product(103, "Desk lamp", Decimal("64.50"), "lamp", "One joint, one bulb, one switch. It points where you point it."),
    Product(104, "Stoneware mug", Decimal("18.00"), "mug", "Holds a good morning's worth of coffee. No two glazes are the same."),
    Product(105, "Terracotta pot", Decimal("22.50"), "pot", "Comes with a hole in the bottom and, for a while, a fern on top."),
    Product(106, "Linen notebook", Decimal("14.00"), "notebook", "192 blank pages that lie flat. What you write in them stays with you."),
)
SHELVES = (Shelf("Trending now", "Homepage - Trending", PRODUCTS[:3]), Shelf("New in", "Homepage - New in", PRODUCTS[3:]))


def product_named(text: str) -> Product | None:
    return next((product for product in PRODUCTS if str(product.id) == text), None)


def beside(product: Product) -> Shelf:
    """The other products on a product's page."""
    at = PRODUCTS.index(product)
    return Shelf("Goes well with it", "Product page - Goes well", tuple(PRODUCTS[(at + step) % len(PRODUCTS)] for step in (2, 3, 5)))


@dataclass(frozen=True, slots=True)
class CartLine:
    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity


@dataclass(frozen=True, slots=True)
class Cart:
    """`items`: each product as often as it was added. Unknown products are left out."""

    items: tuple[Product, ...] = ()

    @property
    def lines(self) -> list[CartLine]:
        return [CartLine(product, quantity) for product, quantity in Counter(self.items).items()]

    @property
    def total(self) -> Decimal:
        return sum((product.price for product in self.items), Decimal(0))

    @property
    def query(self) -> str:
        """The query of a URL. It is empty or begins with a question mark."""
        return f"?{urlencode([('item', product.id) for product in self.items])}" if self.items else ""

    def without(self, product: Product) -> "Cart":
        return Cart(tuple(item for item in self.items if item != product))

    def ordered(self, otherwise: Product) -> "Cart":
        """What the panel's order button buys: the cart, or one product if the cart is empty."""
        return self if self.items else Cart((otherwise,))


def cart_of(query: str) -> Cart:
    found = (product_named(value) for name, value in parse_qsl(query) if name == "item")
    return Cart(tuple(product for product in found if product)[:MOST_ITEMS])
