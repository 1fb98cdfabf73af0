// Drives ioredis: node ioredis.js HOST PORT RESP2|RESP3 [PACKAGE]
'use strict';

const { play, same } = require('./scenario.js');

const [protocol = 'RESP3', library = 'ioredis'] = process.argv.slice(4);
const Redis = require(library);
const { version } = require(`${library}/package.json`);

function open(host, port, name, events) {
  const options = { host, port, lazyConnect: true };
  if (protocol === 'RESP2' && !version.startsWith('5.')) options.protocol = 2; // version 5 knows no other
  const sub = new Redis({ ...options, connectionName: name });
  const pub = new Redis(options);
  for (const c of [sub, pub]) c.on('error', () => {}); // noted by what fails for it
  sub.on('message', (topic, payload) => events.push({ kind: 'message', topic, payload }));
  sub.on('smessage', (topic, payload) => events.push({ kind: 'smessage', topic, payload }));
  sub.on('pmessage', (pattern, topic, payload) => events.push({ kind: 'pmessage', pattern, topic, payload }));
  return {
    connect: async () => {
      await Promise.all([sub.connect(), pub.connect()]);
      if (protocol !== 'RESP3') return;
      const hello = await pub.call('HELLO'); // the library falls back in silence
      const pairs = Array.isArray(hello) ? Object.fromEntries(hello.map((k, i) => [k, hello[i + 1]])) : hello;
      same('HELLO: proto', pairs.proto, 3);
    },
    subscribe: (topics) => sub.subscribe(...topics),
    unsubscribe: (topics) => sub.unsubscribe(...topics),
    psubscribe: (patterns) => sub.psubscribe(...patterns),
    punsubscribe: (patterns) => sub.punsubscribe(...patterns),
    ssubscribe: (topics) => sub.ssubscribe(...topics),
    sunsubscribe: (topics) => sub.sunsubscribe(...topics),
    ping: async () => same('PING', [await sub.ping()].flat()[0].toLowerCase(), 'pong'),
    publish: (topic, payload) => pub.publish(topic, payload),
    spublish: (topic, payload) => pub.spublish(topic, payload),
    list: () => pub.client('LIST'),
    kill: (id) => pub.client('KILL', 'ID', id),
    xadd: (stream, fields) => pub.xadd(stream, '*', ...Object.entries(fields).flat()),
    xrange: async (stream) => (await pub.xrange(stream, '-', '+')).map(([id, [, n]]) => [id, n]),
    xtrim: (stream, length) => pub.xtrim(stream, 'MAXLEN', length),
    del: (stream) => pub.del(stream),
  };
}

play({ client: 'ioredis', version, protocol, open });
