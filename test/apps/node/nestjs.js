// NestJS' Redis transport: this process sends requests and events, the other one is a microservice. VARIANT is topics or wildcards: with
// wildcards the microservice subscribes to patterns.
'use strict';

require('reflect-metadata');
const { Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { ClientProxyFactory, EventPattern, MessagePattern, RpcException, Transport } = require('@nestjs/microservices');
const { Redis } = require('ioredis');
const { firstValueFrom, from, lastValueFrom, toArray } = require('rxjs');

const { host, port, variant, eventually, same, ready, play, main } = require('./app.js');

const many = 200;
const wildcards = variant === 'wildcards';
const name = (text) => `nest-${variant}.${text}`;
const pattern = (text) => name(wildcards ? text.replace(/^[^.]+/, '*') : text); // of requests alone: a reply is numbers.sum.reply

// Service is the controller; there are no decorators in JavaScript.
class Service {
  seen = [];

  sum(values) { return values.reduce((a, b) => a + b, 0); }

  count(to) { return from(Array.from({ length: to }, (_, i) => i)); }

  fail() { throw new RpcException('as asked'); }

  created(order) { this.seen.push(order); }

  orders() { return this.seen; }
}

function decorate(method, decorator) {
  decorator(Service.prototype, method, Object.getOwnPropertyDescriptor(Service.prototype, method));
}

async function serve() {
  decorate('sum', MessagePattern(pattern('numbers.sum')));
  decorate('count', MessagePattern(pattern('numbers.count')));
  decorate('fail', MessagePattern(pattern('always.fail')));
  decorate('orders', MessagePattern(pattern('orders.seen')));
  decorate('created', EventPattern(pattern('order.created')));
  class App {}
  Module({ controllers: [Service] })(App);
  const service = await NestFactory.createMicroservice(App, { transport: Transport.REDIS, options: { host, port, wildcards }, logger: ['error', 'warn'] });
  await service.listen();
  ready();
}

async function use() {
  const client = ClientProxyFactory.create({ transport: Transport.REDIS, options: { host, port } });
  const counts = new Redis({ host, port });
  const send = (to, data) => client.send(name(to), data);
  await play(['@nestjs/microservices', '@nestjs/core', 'ioredis'], {
    'the microservice subscribes': async () => {
      await client.connect();
      await eventually('subscribed', async () => (wildcards
        ? await counts.call('PUBSUB', 'NUMPAT') === 5
        : (await counts.call('PUBSUB', 'CHANNELS', name('*'))).length === 5));
    },
    'a request is answered': async () => same('sum', await firstValueFrom(send('numbers.sum', [40, 2])), 42),
    'an answer of many parts': async () => {
      const parts = await lastValueFrom(send('numbers.count', many).pipe(toArray()));
      same('parts', parts, Array.from({ length: many }, (_, i) => i));
    },
    'requests at once': async () => {
      const all = Array.from({ length: many }, (_, i) => i);
      same('sums', await Promise.all(all.map((i) => firstValueFrom(send('numbers.sum', [i, 1])))), all.map((i) => i + 1));
    },
    'an error of the microservice': async () => {
      const err = await firstValueFrom(send('always.fail', {})).then(() => 'none', (e) => e);
      same('the error', err, { status: 'error', message: 'as asked' });
    },
    'events arrive in order': async () => {
      const orders = Array.from({ length: many }, (_, i) => ({ order: i }));
      for (const order of orders) await lastValueFrom(client.emit(name('order.created'), order));
      let seen;
      await eventually('events', async () => (seen = await firstValueFrom(send('orders.seen', {}))).length >= many);
      same('events', seen, orders);
    },
    'nothing is left': async () => {
      await client.close();
      await eventually('no replies are waited for', async () => (await counts.call('PUBSUB', 'CHANNELS', name('*.reply'))).length === 0);
    },
  });
}

main(serve, use);
