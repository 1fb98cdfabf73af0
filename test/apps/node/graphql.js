// graphql-redis-subscriptions: this process subscribes, the other one has the mutations. Each is what one of two servers behind a load
// balancer does.
'use strict';

const { graphql, parse, subscribe, GraphQLObjectType, GraphQLSchema, GraphQLString, GraphQLInt } = require('graphql');
const { withFilter } = require('graphql-subscriptions');
const { RedisPubSub } = require('graphql-redis-subscriptions');
const { Redis } = require('ioredis');

const { host, port, url, eventually, same, listen, ready, json, call, play, main } = require('./app.js');

const many = 200;

// schema has the mutation order and the subscriptions to one shop, to all by a pattern, and to those above a price.
function schema(orders) {
  const order = new GraphQLObjectType({ name: 'Order', fields: { shop: { type: GraphQLString }, price: { type: GraphQLInt } } });
  const resolve = (value) => value;
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { up: { type: GraphQLString } } }),
    mutation: new GraphQLObjectType({
      name: 'Mutation',
      fields: {
        order: {
          type: order,
          args: { shop: { type: GraphQLString }, price: { type: GraphQLInt } },
          resolve: async (_, value) => {
            await orders.publish(`orders.${value.shop}`, value);
            return value;
          },
        },
      },
    }),
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: {
        shop: { type: order, args: { name: { type: GraphQLString } }, resolve, subscribe: (_, { name }) => orders.asyncIterator(`orders.${name}`) },
        all: { type: order, resolve, subscribe: () => orders.asyncIterator('orders.*', { pattern: true }) },
        above: {
          type: order,
          args: { price: { type: GraphQLInt } },
          resolve,
          subscribe: withFilter(() => orders.asyncIterator('orders.*', { pattern: true }), (value, { price }) => value.price > price),
        },
      },
    }),
  });
}

const pubsub = () => new RedisPubSub({ connection: { host, port } });

async function serve() {
  const shop = schema(pubsub());
  ready(await listen(json((source) => graphql({ schema: shop, source }))));
}

async function use() {
  const orders = pubsub();
  const shop = schema(orders);
  const counts = new Redis({ host, port });
  const subscribers = async () => [await counts.call('PUBSUB', 'NUMSUB', 'orders.one'), await counts.call('PUBSUB', 'NUMPAT')];
  const order = async (name, price) => {
    const { data } = await call(url, `mutation { order(shop: "${name}", price: ${price}) { price } }`);
    same('the mutation', data, { order: { price } });
  };
  // Each iterator is asked for its first value at once: it subscribes when it is.
  const open = async (field) => {
    const results = await subscribe({ schema: shop, document: parse(`subscription { ${field} { shop price } }`) });
    let first = results.next();
    return {
      next: async () => {
        const { value } = await first;
        first = results.next();
        if (value.errors) throw value.errors[0];
        return Object.values(value.data)[0];
      },
      end: () => results.return(),
    };
  };
  let subscriptions;
  await play(['graphql-redis-subscriptions', 'graphql', 'ioredis'], {
    subscribe: async () => {
      subscriptions = await Promise.all([open('shop(name: "one")'), open('all'), open('above(price: 100)')]);
      await eventually('subscribed', async () => JSON.stringify(await subscribers()) === '[["orders.one",1],1]');
    },
    'a mutation reaches each subscription that it is for': async () => {
      await order('one', 10);
      await order('two', 200);
      await order('one', 300);
      const [one, all, above] = subscriptions;
      same('one shop', [await one.next(), await one.next()].map((o) => o.price), [10, 300]);
      same('all', [await all.next(), await all.next(), await all.next()].map((o) => `${o.shop} ${o.price}`), ['one 10', 'two 200', 'one 300']);
      same('above', [await above.next(), await above.next()].map((o) => o.price), [200, 300]);
    },
    'many mutations arrive in order': async () => {
      for (let i = 0; i < many; i++) await order('one', i);
      for (let i = 0; i < many; i++) same(`order ${i}`, (await subscriptions[0].next()).price, i);
    },
    'the end of a subscription unsubscribes': async () => {
      await subscriptions[0].end();
      await eventually('unsubscribed', async () => JSON.stringify(await subscribers()) === '[["orders.one",0],1]');
      await Promise.all([subscriptions[1].end(), subscriptions[2].end()]);
      await eventually('unsubscribed', async () => JSON.stringify(await subscribers()) === '[["orders.one",0],0]');
    },
  });
}

main(serve, use);
