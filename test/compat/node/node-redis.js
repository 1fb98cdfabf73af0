// Drives node-redis: node node-redis.js HOST PORT RESP2|RESP3 [PACKAGE]
'use strict';

const { play, same, patience } = require('./scenario.js');

const [protocol = 'RESP3', library = 'redis'] = process.argv.slice(4);
const { createClient } = require(library);
const { version } = require(`${library}/package.json`);

function open(host, port, name, events) {
  const options = { socket: { host, port }, RESP: protocol === 'RESP3' ? 3 : 2 };
  if (version.startsWith('5.')) options.unstableResp3 = true; // else it refuses XREAD in RESP3
  const sub = createClient({ ...options, name });
  const pub = createClient(options);
  for (const c of [sub, pub]) c.on('error', () => {}); // noted by what fails for it
  // An endless reconnect looks like a wait: the first error says why.
  const connect = async () => {
    const failed = new Promise((_, reject) => { pub.once('error', reject); });
    failed.catch(() => {});
    await Promise.race([Promise.all([sub.connect(), pub.connect()]), failed]);
  };
  const onMessage = (payload, topic) => events.push({ kind: 'message', topic, payload });
  const onSharded = (payload, topic) => events.push({ kind: 'smessage', topic, payload });
  // The library tells the topic but not the pattern; each pattern gets its own listener.
  const onPattern = (pattern) => (payload, topic) => events.push({ kind: 'pmessage', pattern, topic, payload });
  return {
    connect,
    subscribe: (topics) => sub.subscribe(topics, onMessage),
    unsubscribe: (topics) => sub.unsubscribe(topics),
    psubscribe: (patterns) => Promise.all(patterns.map((p) => sub.pSubscribe(p, onPattern(p)))),
    punsubscribe: (patterns) => sub.pUnsubscribe(patterns),
    ssubscribe: (topics) => sub.sSubscribe(topics, onSharded),
    sunsubscribe: (topics) => sub.sUnsubscribe(topics),
    ping: async () => same('PING', (await sub.ping()).toLowerCase() || 'pong', 'pong'),
    publish: (topic, payload) => pub.publish(topic, payload),
    spublish: (topic, payload) => pub.sPublish(topic, payload),
    list: () => pub.sendCommand(['CLIENT', 'LIST']),
    kill: (id) => pub.sendCommand(['CLIENT', 'KILL', 'ID', id]),
    streams: sharer(pub),
  };
}

// sharer is what a connection does with streams, for groups.js.
function sharer(c) {
  const pairs = (entries) => entries.map(({ id, message }) => [id, message.n]);
  const raw = (entries) => entries.map(([id, [, n]]) => [id, n]);
  const ofOne = (streams) => (streams[0]?.messages ? pairs(streams[0].messages) : raw(Object.values(streams)[0])); // version 5 in RESP3
  return {
    another: async () => {
      const other = c.duplicate();
      other.on('error', () => {}); // noted by what fails for it
      await other.connect();
      return sharer(other);
    },
    close: () => c.destroy(),
    xadd: (stream, fields) => c.xAdd(stream, '*', fields),
    xrange: async (stream) => pairs(await c.xRange(stream, '-', '+')),
    xread: async (stream, id) => ofOne(await c.xRead([{ key: stream, id }], { BLOCK: patience })),
    xlen: (stream) => c.xLen(stream),
    xtrim: (stream, length) => c.xTrim(stream, 'MAXLEN', length),
    del: (stream) => c.del(stream),
    reversed: async (stream, count) => pairs(await c.xRevRange(stream, '+', '-', { COUNT: count })),
    deleteEntries: (stream, ids) => c.xDel(stream, ids),
    setLast: (stream, id) => c.xSetId(stream, id),
    info: async (stream) => {
      const info = await c.xInfoStream(stream);
      return { length: info.length, last: info['last-generated-id'] };
    },
    create: (stream, group) => c.xGroupCreate(stream, group, '0', { MKSTREAM: true }),
    setGroup: (stream, group, id) => c.xGroupSetId(stream, group, id),
    destroy: (stream, group) => c.xGroupDestroy(stream, group),
    createConsumer: (stream, group, consumer) => c.xGroupCreateConsumer(stream, group, consumer),
    deleteConsumer: (stream, group, consumer) => c.xGroupDelConsumer(stream, group, consumer),
    readGroup: async (stream, group, consumer, id, count) => ofOne(
      await c.xReadGroup(group, consumer, [{ key: stream, id }], { COUNT: count, BLOCK: patience }),
    ),
    ack: (stream, group, ids) => c.xAck(stream, group, ids),
    pending: async (stream, group) => {
      const { pending, consumers } = await c.xPending(stream, group);
      return { count: pending, of: Object.fromEntries(consumers.map((one) => [one.name, one.deliveriesCounter])) };
    },
    pendingOf: async (stream, group, consumer) => (await c.xPendingRange(stream, group, '-', '+', 10, { consumer }))
      .map((entry) => [entry.id, entry.deliveriesCounter]),
    claim: async (stream, group, consumer, ids) => pairs(await c.xClaim(stream, group, consumer, 0, ids)),
    autoClaim: async (stream, group, consumer) => {
      const { nextId, messages } = await c.xAutoClaim(stream, group, consumer, 0, '0', { COUNT: 10 });
      return { next: nextId, entries: pairs(messages) };
    },
    groups: async (stream) => (await c.xInfoGroups(stream)).map((g) => (
      { name: g.name, consumers: g.consumers, pending: g.pending, last: g['last-delivered-id'], lag: g.lag })),
    consumers: async (stream, group) => Object.fromEntries((await c.xInfoConsumers(stream, group)).map((one) => [one.name, one.pending])),
    // Version 5 has no methods for some commands of Redis 8.
    release: (stream, group, id) => (c.xNack ? c.xNack(stream, group, 'FAIL', id) : c.sendCommand(['XNACK', stream, group, 'FAIL', 'IDS', '1', id])),
    readReleased: async (stream, group, consumer) => {
      if (c.xNack) return ofOne(await c.xReadGroup(group, consumer, [{ key: stream, id: '>' }], { CLAIM: patience }));
      const got = await c.sendCommand(['XREADGROUP', 'GROUP', group, consumer, 'CLAIM', String(patience), 'STREAMS', stream, '>']);
      return raw(got[stream] ?? got[0][1]);
    },
    deleteAcknowledged: (stream, id) => c.xDelEx(stream, id, 'ACKED'),
    acknowledgeAndDelete: (stream, group, id) => c.xAckDel(stream, group, id, 'ACKED'),
  };
}

play({ client: 'node-redis', version, protocol, open });
