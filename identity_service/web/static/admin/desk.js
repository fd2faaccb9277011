// Buttons that copy an ID, and one that prints the page. Without this script they are hidden: IDs are text.
(function () {
  "use strict";
  var SHOWN = 1500;
  document.documentElement.classList.add("scripted");

  function say(button, text) {
    var before = button.dataset.before || button.textContent;
    button.dataset.before = before;
    button.textContent = text;
    document.getElementById("said").textContent = text + " " + button.dataset.copy;
    setTimeout(function () { button.textContent = before; }, SHOWN);
  }

  // Without TLS there is no clipboard API: the ID is selected, so that one key copies it.
  function select(button) {
    getSelection().selectAllChildren(button.parentNode.querySelector("code"));
    say(button, document.execCommand("copy") ? "Copied" : "Selected");
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-copy], button[data-print]");
    if (!button) return;
    if (button.hasAttribute("data-print")) { print(); return; }
    if (!navigator.clipboard) { select(button); return; }
    navigator.clipboard.writeText(button.dataset.copy).then(function () { say(button, "Copied"); }, function () { select(button); });
  });
})();
