// Drives ioredis: node ioredis.js HOST PORT RESP2|RESP3 [PACKAGE]
'use strict';

const { play, same, patience } = require('./scenario.js');

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
    streams: sharer(pub),
  };
}

// sharer is what a connection does with streams, for groups.js.
function sharer(c) {
  const pairs = (entries) => entries.map(([id, [, n]]) => [id, n]);
  // In RESP3 the library makes maps of what are pairs in RESP2, at some places.
  const ofOne = (streams) => pairs(Array.isArray(streams) ? streams[0][1] : Object.values(streams)[0]);
  const map = (fields) => (Array.isArray(fields) ? Object.fromEntries(fields.map((k, i) => [k, fields[i + 1]]).filter((_, i) => i % 2 === 0)) : fields);
  return {
    another: async () => {
      const other = c.duplicate();
      other.on('error', () => {}); // noted by what fails for it
      await other.connect();
      return sharer(other);
    },
    close: () => c.disconnect(),
    xadd: (stream, fields) => c.xadd(stream, '*', ...Object.entries(fields).flat()),
    xrange: async (stream) => pairs(await c.xrange(stream, '-', '+')),
    xread: async (stream, id) => ofOne(await c.xread('BLOCK', patience, 'STREAMS', stream, id)),
    xlen: (stream) => c.xlen(stream),
    xtrim: (stream, length) => c.xtrim(stream, 'MAXLEN', length),
    del: (stream) => c.del(stream),
    reversed: async (stream, count) => pairs(await c.xrevrange(stream, '+', '-', 'COUNT', count)),
    deleteEntries: (stream, ids) => c.xdel(stream, ...ids),
    setLast: (stream, id) => c.xsetid(stream, id),
    info: async (stream) => {
      const info = map(await c.xinfo('STREAM', stream));
      return { length: info.length, last: info['last-generated-id'] };
    },
    create: (stream, group) => c.xgroup('CREATE', stream, group, '0', 'MKSTREAM'),
    setGroup: (stream, group, id) => c.xgroup('SETID', stream, group, id),
    destroy: (stream, group) => c.xgroup('DESTROY', stream, group),
    createConsumer: (stream, group, consumer) => c.xgroup('CREATECONSUMER', stream, group, consumer),
    deleteConsumer: (stream, group, consumer) => c.xgroup('DELCONSUMER', stream, group, consumer),
    readGroup: async (stream, group, consumer, id, count) => ofOne(
      await c.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'BLOCK', patience, 'STREAMS', stream, id),
    ),
    ack: (stream, group, ids) => c.xack(stream, group, ...ids),
    pending: async (stream, group) => {
      const [count, , , of] = await c.xpending(stream, group);
      return { count, of: Object.fromEntries(of.map(([name, n]) => [name, Number(n)])) };
    },
    pendingOf: async (stream, group, consumer) => (await c.xpending(stream, group, '-', '+', 10, consumer)).map(([id, , , n]) => [id, n]),
    claim: async (stream, group, consumer, ids) => pairs(await c.xclaim(stream, group, consumer, 0, ...ids)),
    autoClaim: async (stream, group, consumer) => {
      const [next, entries] = await c.xautoclaim(stream, group, consumer, 0, '0', 'COUNT', 10);
      return { next, entries: pairs(entries) };
    },
    groups: async (stream) => (await c.xinfo('GROUPS', stream)).map(map).map((g) => (
      { name: g.name, consumers: g.consumers, pending: g.pending, last: g['last-delivered-id'], lag: g.lag })),
    consumers: async (stream, group) => Object.fromEntries((await c.xinfo('CONSUMERS', stream, group)).map(map).map((one) => [one.name, one.pending])),
    release: (stream, group, id) => c.call('XNACK', stream, group, 'FAIL', 'IDS', 1, id),
    readReleased: async (stream, group, consumer) => ofOne(await c.xreadgroup('GROUP', group, consumer, 'CLAIM', patience, 'STREAMS', stream, '>')),
    deleteAcknowledged: (stream, id) => c.call('XDELEX', stream, 'ACKED', 'IDS', 1, id),
    acknowledgeAndDelete: (stream, group, id) => c.call('XACKDEL', stream, group, 'ACKED', 'IDS', 1, id),
  };
}

play({ client: 'ioredis', version, protocol, open });
