// One scenario, played with any client of Node.js. What a subscriber is told is an event:
// {kind: 'message' | 'pmessage' | 'smessage' | 'lost', pattern, topic, payload}.
'use strict';

const net = require('node:net');

const { share } = require('./groups.js');

const patience = 120_000; // bounds every wait, in milliseconds; nothing is measured with it
const thousand = 1000;
const many = 2000;
const name = `compat-${process.pid}`;
const topic = (t) => `${name}:${t}`;

async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } catch (err) {
    throw err.message.startsWith(what) ? err : new Error(`${what}: ${err.message}`);
  } finally {
    clearTimeout(timer);
  }
}

// eventually asks until the answer is yes, or patience ends.
async function eventually(what, yes) {
  const end = Date.now() + patience;
  for (;;) {
    if (await within(what, yes())) return;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// Events is a queue of what the subscriber was told.
class Events {
  #all = [];
  #waiting = null;

  push(event) {
    this.#all.push(event);
    this.#waiting?.();
  }

  async next() {
    while (this.#all.length === 0) {
      await new Promise((resolve) => { this.#waiting = resolve; });
    }
    this.#waiting = null;
    return this.#all.shift();
  }
}

function show(e) {
  return JSON.stringify([e.kind, e.pattern, e.topic, e.payload]);
}

// expect waits for exactly these messages, in this order.
async function expect(events, all) {
  for (const [i, want] of all.entries()) {
    const got = await within(`message ${i + 1} of ${all.length}, ${show(want)}`, events.next());
    if (show(got) !== show(want)) throw new Error(`message ${i + 1} of ${all.length}: got ${show(got)}, not ${show(want)}`);
  }
}

function same(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${what}: got ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  }
}

// numbered are a thousand messages, in turn for a topic and for the pattern.
function numbered(prefix) {
  return Array.from({ length: thousand }, (_, i) => (i % 2 === 0
    ? { kind: 'message', topic: topic('one'), payload: prefix + i }
    : { kind: 'pmessage', pattern: topic('news.*'), topic: topic(`news.${i}`), payload: prefix + i }));
}

// publishLines publishes as a person would, in typed lines, and reads every answer.
function publishLines(host, port, messages) {
  return new Promise((resolve, reject) => {
    let answers = '';
    const want = messages.map((m) => `OK PUB ${m.topic}\n`).join('');
    const conn = net.connect(port, host, () => {
      conn.write(messages.map((m) => `PUB ${m.topic} ${m.payload}\n`).join(''));
    });
    conn.setEncoding('utf8');
    conn.on('error', reject);
    conn.on('close', () => reject(new Error(`closed after ${answers.length} bytes of answers`)));
    conn.on('data', (text) => {
      answers += text;
      if (answers.length < want.length) return;
      if (answers === want) resolve();
      else reject(new Error(`answered ${JSON.stringify(answers.slice(0, 300))}`));
      conn.end();
    });
  });
}

// listed is the id of the subscriber in the text of CLIENT LIST.
function listed(list) {
  for (const line of list.split('\n')) {
    const fields = Object.fromEntries(line.trim().split(' ').map((f) => [f.slice(0, f.indexOf('=')), f.slice(f.indexOf('=') + 1)]));
    if (fields.name === name && fields.sub !== '0') return fields.id;
  }
  return undefined;
}

// play runs all checks and ends the program. A client has connect, events, subscribe, unsubscribe, psubscribe,
// punsubscribe, ssubscribe, sunsubscribe and ping for the subscriber; publish, spublish, list and kill for the other, whose streams
// is the sharer of groups.js.
async function play({ client, version, protocol, open }) {
  const [host, port] = process.argv.slice(2);
  const report = { client, version, protocol, checks: [], ok: true };
  const attempt = async (what, check) => {
    if (!report.ok) return;
    try {
      await check();
      report.checks.push({ name: what, ok: true });
    } catch (err) {
      report.checks.push({ name: what, ok: false, error: err.message });
      report.ok = false;
    }
  };
  const skip = (what, why) => { report.checks.push({ name: what, ok: true, skipped: why }); };
  const events = new Events();
  const c = open(host, Number(port), name, events);
  const publish = async (t, payload, want) => same(`PUBLISH ${t}`, await within('PUBLISH', c.publish(topic(t), payload)), want);

  await attempt('connect', () => within('connect', c.connect()));
  await attempt('subscribe', async () => {
    await within('SUBSCRIBE', c.subscribe([topic('one'), topic('two')]));
    await within('PSUBSCRIBE', c.psubscribe([topic('news.*')]));
  });
  await attempt('PUBLISH counts', async () => {
    await within('SUBSCRIBE', c.subscribe([topic('news.both')]));
    await publish('nobody', 'x', 0);
    await publish('one', '', 1);
    await publish('news.x', '\r\n\0é', 1);
    await publish('news.both', 'z', 2);
    await publish('two', 'last', 1);
    await expect(events, [
      { kind: 'message', topic: topic('one'), payload: '' },
      { kind: 'pmessage', pattern: topic('news.*'), topic: topic('news.x'), payload: '\r\n\0é' },
      { kind: 'message', topic: topic('news.both'), payload: 'z' },
      { kind: 'pmessage', pattern: topic('news.*'), topic: topic('news.both'), payload: 'z' },
      { kind: 'message', topic: topic('two'), payload: 'last' },
    ]);
  });
  await attempt('a thousand messages', async () => {
    const all = numbered('redis ');
    const counts = await within('PUBLISH', Promise.all(all.map((m) => c.publish(m.topic, m.payload))));
    same('PUBLISH', counts, all.map(() => 1));
    await expect(events, all);
  });
  if (process.env.CONCH === '1') {
    await attempt('a thousand lines', async () => {
      const all = numbered('line, "quoted" ');
      await within('PUB', publishLines(host, Number(port), all));
      await expect(events, all);
    });
  } else {
    skip('a thousand lines', 'this server does not speak lines');
  }
  await attempt('ping while subscribed', () => within('PING', c.ping()));
  await attempt('unsubscribe', async () => {
    await within('UNSUBSCRIBE', c.unsubscribe([topic('two'), topic('news.both')]));
    await within('PUNSUBSCRIBE', c.punsubscribe([topic('news.*')]));
    await publish('two', 'x', 0);
    await publish('news.both', 'x', 0);
    await publish('one', 'still', 1);
    await expect(events, [{ kind: 'message', topic: topic('one'), payload: 'still' }]);
  });
  const topics = Array.from({ length: many }, (_, i) => topic(`many-${i}`));
  const publishMany = async (payload) => {
    const counts = await within('PUBLISH', Promise.all(topics.map((t) => c.publish(t, payload))));
    same('PUBLISH', counts, topics.map(() => 1));
    await expect(events, topics.map((t) => ({ kind: 'message', topic: t, payload })));
  };
  await attempt('2,000 topics at once', async () => {
    await within('SUBSCRIBE', c.subscribe(topics));
    await publishMany('first');
  });
  await attempt('killed and back', async () => {
    const list = await within('CLIENT LIST', c.list());
    const id = listed(list);
    if (!id) throw new Error(`CLIENT LIST: no subscriber has the name ${name} in ${JSON.stringify(list)}`);
    same(`CLIENT KILL ID ${id}`, await within('CLIENT KILL', c.kill(id)), 1);
    await eventually('the killed one out of CLIENT LIST', async () => listed(await c.list()) !== id);
    for (const t of ['one', 'many-0', `many-${many - 1}`]) {
      await eventually(`a subscriber of ${t} after the kill`, async () => await c.publish(topic(t), 'probe') > 0);
    }
    await publish('one', 'here again', 1);
    await within('a message after the kill', (async () => {
      while ((await events.next()).payload !== 'here again');
    })());
    await publishMany('second');
  });
  // Last, because ioredis does not resubscribe to plain topics once it has left its last sharded one.
  await attempt('sharded topics', async () => {
    await within('SSUBSCRIBE', c.ssubscribe([topic('sharded')]));
    same('SPUBLISH', await within('SPUBLISH', c.spublish(topic('sharded'), 'sharded')), 1);
    await publish('one', 'plain', 1);
    await expect(events, [
      { kind: 'smessage', topic: topic('sharded'), payload: 'sharded' },
      { kind: 'message', topic: topic('one'), payload: 'plain' },
    ]);
    await within('SUNSUBSCRIBE', c.sunsubscribe([topic('sharded')]));
    same('SPUBLISH', await within('SPUBLISH', c.spublish(topic('sharded'), 'x')), 0);
  });
  await attempt('streams', async () => {
    const stream = topic('stream');
    const all = [];
    for (const n of ['0', '1', '2']) all.push([await within('XADD', c.streams.xadd(stream, { n })), n]);
    same('XRANGE', await within('XRANGE', c.streams.xrange(stream)), all);
    same('XREAD', await within('XREAD', c.streams.xread(stream, all[0][0])), all.slice(1));
    same('XLEN', await within('XLEN', c.streams.xlen(stream)), 3);
    same('XTRIM', await within('XTRIM', c.streams.xtrim(stream, 1)), 2);
    same('DEL', await within('DEL', c.streams.del(stream)), 1);
  });
  await share({ attempt, skip, within, same }, c.streams);
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(report.ok ? 0 : 1));
}

module.exports = { play, within, eventually, same, patience };
