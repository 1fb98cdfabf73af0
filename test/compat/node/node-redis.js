// Drives node-redis: node node-redis.js HOST PORT RESP2|RESP3 [PACKAGE]
'use strict';

const { play, same } = require('./scenario.js');

const [protocol = 'RESP3', library = 'redis'] = process.argv.slice(4);
const { createClient } = require(library);
const { version } = require(`${library}/package.json`);

function open(host, port, name, events) {
  const options = { socket: { host, port }, RESP: protocol === 'RESP3' ? 3 : 2 };
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
    xadd: (stream, fields) => pub.xAdd(stream, '*', fields),
    xrange: async (stream) => (await pub.xRange(stream, '-', '+')).map(({ id, message }) => [id, message.n]),
    xtrim: (stream, length) => pub.xTrim(stream, 'MAXLEN', length),
    del: (stream) => pub.del(stream),
  };
}

play({ client: 'node-redis', version, protocol, open });
