// Socket.IO with its Redis adapter: one server in each process. What one sends to all, to a room or to the other reaches the clients of
// both. VARIANT is classic or sharded, with ioredis or redis: classic/ioredis.
'use strict';

const { createServer } = require('node:http');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');

const { host, port, variant, url, eventually, same, listen, ready, play, main } = require('./app.js');

const [kind, library] = variant.split('/');
const many = 200;

async function connection() {
  const c = library === 'ioredis'
    ? new (require('ioredis').Redis)({ host, port, lazyConnect: true })
    : require('redis').createClient({ socket: { host, port } });
  c.on('error', (err) => console.error(err));
  await c.connect();
  return c;
}

async function start() {
  const connections = [await connection(), await connection()];
  const adapter = kind === 'sharded'
    ? createShardedAdapter(...connections, { channelPrefix: `apps-${variant}`, subscriptionMode: 'dynamic' })
    : createAdapter(...connections, { key: `apps-${variant}` });
  const http = createServer();
  const server = new Server(http, { adapter, transports: ['websocket'] });
  server.on('connection', (socket) => socket.on('join', async (room, joined) => {
    await socket.join(room);
    joined();
  }));
  return { server, address: await listen(http) };
}

// client connects to a server, and keeps what it gets.
async function client(address) {
  const socket = io(address, { transports: ['websocket'] });
  const got = [];
  const probes = new Set();
  socket.onAny((event, ...args) => {
    const answer = args.at(-1);
    if (event === 'probe') probes.add(answer);
    else if (typeof answer === 'function') answer(`${event} answered`);
    else got.push([event, ...args]);
  });
  await new Promise((resolve, reject) => { socket.on('connect', resolve).on('connect_error', reject); });
  return { socket, got, probes };
}

async function serve() {
  const { server, address } = await start();
  server.on('add', (a, b, answer) => answer(a + b)); // what the other server asks for
  server.on('broadcast', (room, event, count) => {
    for (let i = 0; i < count; i++) server.to(room).emit(event, i);
  });
  ready(address);
}

async function use() {
  let here;
  let clients; // two of this process' server, two of the other's
  // come waits until each client has what it is to get, and then has no more than that.
  const come = async (what, wants) => {
    await eventually(`${what}: ${JSON.stringify(wants).slice(0, 200)}`, () => clients.every((c, i) => c.got.length >= wants[i].length));
    same(what, clients.map((c) => c.got.splice(0)), wants);
  };
  // joined waits until a room is known to the servers of its clients: the adapters subscribe without waiting for it.
  const joined = (room, all) => eventually(`the clients of ${room}`, () => {
    here.server.to(room).emit('probe', room);
    return all.every((c) => c.probes.has(room));
  });
  const sockets = async (room) => (await (room ? here.server.in(room) : here.server).fetchSockets().catch(() => [])).length; // a late answer is asked for again
  const numbered = Array.from({ length: many }, (_, i) => ['n', i]);
  await play(['@socket.io/redis-adapter', 'socket.io', library], {
    'two servers know each other': async () => {
      here = await start();
      clients = await Promise.all([here.address, here.address, url, url].map(client));
      await eventually('two servers', async () => await here.server.of('/').adapter.serverCount() === 2);
      await eventually('four sockets', async () => await sockets() === 4);
    },
    'a broadcast reaches the clients of both': async () => {
      for (const [, i] of numbered) here.server.emit('n', i);
      await come('a broadcast', clients.map(() => numbered));
    },
    'bytes arrive as they are': async () => {
      here.server.emit('bytes', Buffer.from([0, 13, 10, 255]));
      await come('bytes', clients.map(() => [['bytes', Buffer.from([0, 13, 10, 255])]]));
    },
    'a room has clients of both': async () => {
      await Promise.all([clients[0], clients[3]].map((c) => c.socket.emitWithAck('join', 'room')));
      await joined('room', [clients[0], clients[3]]);
      here.server.to('room').emit('in the room');
      here.server.emit('all');
      const [member, other] = [[['in the room'], ['all']], [['all']]];
      await come('a room', [member, other, other, member]);
    },
    'the other server broadcasts': async () => {
      here.server.serverSideEmit('broadcast', 'room', 'n', many);
      await come('its broadcast', [numbered, [], [], numbered]);
    },
    'clients of both acknowledge': async () => {
      const answers = await here.server.timeout(50_000).emitWithAck('question');
      same('answers', answers, clients.map(() => 'question answered'));
    },
    'the other server answers': async () => {
      same('answers', await here.server.serverSideEmitWithAck('add', 40, 2), [42]);
    },
    'the other server has its sockets join and leave': async () => {
      here.server.socketsJoin('late');
      await eventually('in the room', async () => await sockets('late') === 4);
      await joined('late', clients);
      here.server.to('late').except('room').emit('for two');
      await come('all but a room', [[], [['for two']], [['for two']], []]);
      here.server.in('room').socketsLeave('late');
      await eventually('out of it', async () => await sockets('late') === 2);
    },
    'the other server disconnects its sockets': async () => {
      here.server.in('room').disconnectSockets();
      await eventually('disconnected', () => clients[0].socket.disconnected && clients[3].socket.disconnected);
      same('connected', clients.map((c) => c.socket.connected), [false, true, true, false]);
      await eventually('two sockets', async () => await sockets() === 2);
    },
  });
}

main(serve, use);
