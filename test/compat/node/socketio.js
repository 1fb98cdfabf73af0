// Drives the Redis Streams adapter of Socket.IO: node socketio.js HOST PORT RESP2|RESP3 [PACKAGE]. Two servers, each with two clients,
// share a stream: what one sends to all, to a room or to the other reaches the clients of both.
'use strict';

const { createServer } = require('node:http');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');
const { createAdapter } = require('@socket.io/redis-streams-adapter');

const { within, eventually, same, patience } = require('./scenario.js');

const [host, port, protocol = 'RESP3', library = 'redis'] = process.argv.slice(2);
const many = 200;

async function connection() {
  if (library === 'ioredis') {
    const Redis = require('ioredis');
    const c = new Redis({ host, port: Number(port), lazyConnect: true, protocol: protocol === 'RESP3' ? 3 : 2 });
    c.on('error', () => {}); // noted by what fails for it
    await c.connect();
    return c;
  }
  const c = require('redis').createClient({ socket: { host, port: Number(port) }, RESP: protocol === 'RESP3' ? 3 : 2 });
  c.on('error', () => {}); // the same
  await c.connect();
  return c;
}

// start runs a server whose adapter has a stream of this run.
async function start() {
  const http = createServer();
  const options = { streamName: `compat-${process.pid}:socket.io`, channelPrefix: `compat-${process.pid}`, blockTimeInMs: 200, heartbeatInterval: 200 };
  const server = new Server(http, { adapter: createAdapter(await connection(), options), transports: ['websocket'] });
  server.on('connection', (socket) => socket.on('join', async (room, joined) => {
    await socket.join(room);
    joined();
  }));
  await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve); });
  return { server, url: `http://127.0.0.1:${http.address().port}` };
}

// client connects to a server, and keeps what it gets.
async function client({ url }) {
  const socket = io(url, { transports: ['websocket'] });
  const got = [];
  const probes = new Set();
  socket.onAny((event, ...args) => {
    const answer = args.at(-1);
    if (event === 'probe') probes.add(answer);
    else if (typeof answer === 'function') answer(`${event} answered`);
    else got.push([event, ...args]);
  });
  await new Promise((resolve, reject) => {
    socket.on('connect', resolve);
    socket.on('connect_error', reject);
  });
  return { got, probes, join: (room) => socket.emitWithAck('join', room) };
}

async function main() {
  const versions = ['@socket.io/redis-streams-adapter', 'socket.io', library].map((name) => `${name} ${require(`${name}/package.json`).version}`);
  const report = {
    client: 'socket.io', version: versions.join(', ').replace('@socket.io/redis-streams-adapter ', ''), protocol, checks: [], ok: true,
  };
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
  let servers;
  let clients;
  // come waits until each client has what it is to get, and then has no more than that.
  const come = async (what, wants) => {
    await eventually(what, async () => clients.every((c, i) => c.got.length >= wants[i].length));
    same(what, clients.map((c) => c.got.splice(0)), wants);
  };

  await attempt('two servers with two clients each', async () => {
    servers = await within('start', Promise.all([start(), start()]));
    clients = await within('connect', Promise.all([servers[0], servers[0], servers[1], servers[1]].map(client)));
    await eventually('each server knows the other', async () => (await Promise.all(servers.map(async ({ server }) => (
      await server.of('/').adapter.serverCount() === 2 && (await server.fetchSockets()).length === 4)))).every(Boolean));
    // Until a server has read its first entry, it begins each time with the next one, and may miss some.
    await eventually('each server reads the stream', async () => {
      servers.forEach(({ server }, i) => server.emit('probe', i));
      return clients.every((c) => c.probes.size === 2);
    });
  });
  await attempt('a broadcast reaches the clients of both', async () => {
    for (let i = 0; i < many; i++) servers[i % 2].server.emit('news', i % 2, i);
    await eventually('broadcasts', async () => clients.every((c) => c.got.length >= many));
    for (const c of clients) {
      const got = c.got.splice(0);
      for (const from of [0, 1]) { // of one server, in order
        const want = Array.from({ length: many }, (_, i) => ['news', i % 2, i]).filter(([, sender]) => sender === from);
        same(`broadcasts of server ${from}`, got.filter(([, sender]) => sender === from), want);
      }
    }
  });
  await attempt('bytes are the same', async () => {
    servers[0].server.emit('bytes', Buffer.from([0, 13, 10, 255]));
    await eventually('bytes', async () => clients.every((c) => c.got.length > 0));
    for (const c of clients) same('bytes', [...c.got.splice(0)[0][1]], [0, 13, 10, 255]);
  });
  await attempt('rooms span both servers', async () => {
    await within('join', Promise.all([clients[0].join('blue'), clients[2].join('blue'), clients[3].join('red')]));
    servers[1].server.to('blue').emit('paint', 'blue');
    servers[0].server.to('red').emit('paint', 'red');
    servers[0].server.except('blue').emit('paint', 'not blue');
    await come('rooms', [[['paint', 'blue']], [['paint', 'not blue']], [['paint', 'blue']], [['paint', 'red'], ['paint', 'not blue']]]);
  });
  await attempt('a server moves clients of the other', async () => {
    servers[0].server.in('red').socketsJoin('green');
    await eventually('the room', async () => (await servers[0].server.in('green').fetchSockets()).length === 1);
    servers[0].server.to('green').emit('paint', 'green');
    await come('the room', [[], [], [], [['paint', 'green']]]);
  });
  await attempt('a broadcast with answers', async () => {
    const answers = await within('answers', servers[0].server.timeout(patience).emitWithAck('question'));
    same('answers', answers, Array(4).fill('question answered'));
  });
  await attempt('one server asks the other', async () => {
    servers[1].server.on('sum', (a, b, answer) => answer(a + b));
    same('answers', await within('answers', servers[0].server.serverSideEmitWithAck('sum', 3, 4)), [7]);
  });
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(report.ok ? 0 : 1));
}

main();
