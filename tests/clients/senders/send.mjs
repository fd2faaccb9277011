// Sends orders as a shop's server does: LIBRARY NAME ADDRESS…; prints a line for each answer. Node's own fetch is undici.

const [library, name, ...addresses] = process.argv.slice(2);
const lines = [{ id: '12793', quantity: 2, price: '99.95' }, { id: 7, quantity: 1, price: 1 }];
const sale = each => ({ key: 'demo-public-key', sale: each, products: lines });
const flat = each => new URLSearchParams({ ...sale(each), products: JSON.stringify(lines) });
const show = (status, text) => console.log(status, typeof text === 'string' ? text : JSON.stringify(text));

async function byUndici(each, url) {
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(sale(`${each}-json`)) };
  const calls = [[url, json], [`${url}?${flat(`${each}-query`)}`], [url, { method: 'POST', body: flat(`${each}-form`) }]];
  for (const call of calls) {
    const answer = await fetch(...call);
    show(answer.status, await answer.text());
  }
}

async function byAxios(each, url) {
  const axios = (await import('axios')).default;
  const answers = [
    await axios.post(url, sale(`${each}-json`)),
    await axios.get(url, { params: sale(`${each}-query`) }),
    await axios.post(url, flat(`${each}-form`)),
  ];
  answers.forEach(answer => show(answer.status, answer.data));
}

for (const [at, address] of addresses.entries()) {
  await (library === 'axios' ? byAxios : byUndici)(`${name}-${at}`, `${address}/v2/log/sale`);
}
