// What the applications of this folder have in common: node APP.js HOST PORT VARIANT serve|use [URL].
'use strict';

const { createServer } = require('node:http');
const { isDeepStrictEqual } = require('node:util');

const patience = 60_000; // bounds every check, and half of it every wait; nothing is measured with it
const [host, port, variant, role, url] = process.argv.slice(2);

async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${patience} ms`)), patience); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function eventually(what, holds) {
  const end = Date.now() + patience / 2;
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${patience / 2} ms`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

function same(what, got, want) {
  if (!isDeepStrictEqual(got, want)) throw new Error(`${what}: got ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

// listen starts an HTTP server on a free port and returns its URL.
async function listen(server) {
  await new Promise((resolve, reject) => { server.on('error', reject).listen(0, '127.0.0.1', resolve); });
  return `http://127.0.0.1:${server.address().port}`;
}

// ready prints where this process serves until the run ends it.
function ready(address = '-') {
  process.stdout.write(`ready ${address}\n`);
}

// json serves a function of JSON over HTTP, and call calls it.
function json(answer) {
  return createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', async () => {
      try {
        response.end(JSON.stringify(await answer(JSON.parse(body))));
      } catch (err) {
        response.statusCode = 500;
        response.end(JSON.stringify({ error: String(err) }));
      }
    });
  });
}

async function call(address, value) {
  const response = await within(`POST ${address}`, fetch(address, { method: 'POST', body: JSON.stringify(value) }));
  return response.json();
}

// play makes the checks, one behind the other up to the first that fails, and prints the report.
async function play(packages, checks) {
  const report = { version: packages.map((name) => `${name} ${version(name)}`).join(', '), checks: [], ok: true };
  for (const [name, check] of Object.entries(checks)) {
    try {
      await within(name, check());
      report.checks.push({ name, ok: true });
    } catch (err) {
      report.checks.push({ name, ok: false, error: String(err.message ?? err) });
      report.ok = false;
      break;
    }
  }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(report.ok ? 0 : 1));
}

function version(name) {
  return require('./package-lock.json').packages[`node_modules/${name}`].version;
}

// main runs one of the two processes.
function main(serve, use) {
  (role === 'serve' ? serve() : use()).catch((err) => {
    console.error(err);
    process.exit(1);
  });
}

module.exports = { host, port: Number(port), variant, url, within, eventually, same, listen, ready, json, call, play, main };
