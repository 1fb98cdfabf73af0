// A group of three consumers of a stream, one of which dies and is claimed from.
'use strict';

const stream = `compat-${process.pid}:jobs`;
const group = 'workers';

// share plays the course with a sharer: what one connection does with streams, in the library's own words. Entries are pairs of an
// id and the value of the field n. The sharer's another() is one with a connection of its own, and close() ends it.
async function share({ attempt, skip, within, same }, main) {
  const all = [];
  const acked = new Map();
  let first;
  let second;
  let doomed;
  const equal = async (what, promise, want) => {
    const got = await within(what, promise);
    same(what, got, want);
    return got;
  };
  const append = async () => {
    const n = String(all.length);
    all.push([await within('XADD', main.xadd(stream, { n })), n]);
  };
  const acknowledge = async (s, entries) => {
    for (const [id] of entries) acked.set(id, (acked.get(id) ?? 0) + 1);
    await equal('XACK', s.ack(stream, group, entries.map(([id]) => id)), entries.length);
  };
  const refused = async (what, promise) => {
    let err;
    try {
      await within(what, promise);
    } catch (e) {
      err = e;
    }
    if (!err) throw new Error(`${what}: no error`);
  };
  const counts = async (pending) => {
    await equal('XINFO GROUPS', main.groups(stream), [{ name: group, consumers: 3, pending, last: all.at(-1)[0], lag: 0 }]);
    await equal('XINFO CONSUMERS', main.consumers(stream, group), { doomed: 0, first: pending, second: 0 });
  };

  await attempt('a group of three consumers', async () => {
    await within('XGROUP CREATE', main.create(stream, group));
    await refused('XGROUP CREATE of a group that is there', main.create(stream, group));
    for (let i = 0; i < 12; i++) await append();
    [first, second, doomed] = await within('connect', Promise.all([main.another(), main.another(), main.another()]));
    await equal('XGROUP CREATECONSUMER', first.createConsumer(stream, group, 'first'), 1);
  });
  await attempt('a consumer dies', async () => {
    for (const [i, [name, s, acks]] of [['doomed', doomed, 1], ['first', first, 4], ['second', second, 3]].entries()) {
      const got = await equal(`XREADGROUP ${name}`, s.readGroup(stream, group, name, '>', 4), all.slice(4 * i, 4 * i + 4));
      await acknowledge(s, got.slice(0, acks));
    }
    doomed.close();
    await acknowledge(second, await equal('XREADGROUP, what is pending', second.readGroup(stream, group, 'second', '0', 10), all.slice(11)));
  });
  await attempt('its entries are claimed', async () => {
    const left = all.slice(1, 4);
    await equal('XPENDING', main.pending(stream, group), { count: 3, of: { doomed: 3 } });
    await equal('XPENDING with a range', main.pendingOf(stream, group, 'doomed'), left.map(([id]) => [id, 1]));
    const claimed = await equal('XCLAIM', first.claim(stream, group, 'first', [left[0][0]]), left.slice(0, 1));
    await equal('deliveries of a claimed entry', main.pendingOf(stream, group, 'first'), [[left[0][0], 2]]);
    await acknowledge(first, claimed);
    const { entries } = await equal('XAUTOCLAIM', second.autoClaim(stream, group, 'second'), { next: '0-0', entries: left.slice(1) });
    await acknowledge(second, entries);
    same('acknowledged', all.map(([id]) => acked.get(id)), all.map(() => 1));
    await counts(0);
  });
  await attempt('a consumer waits', async () => {
    const read = first.readGroup(stream, group, 'first', '>', 1);
    read.catch(() => {}); // what fails for it is noted below
    await append();
    await equal('XREADGROUP BLOCK', read, all.slice(12));
    await counts(1);
  });
  if (process.env.CONCH === '1') {
    await attempt('commands of Redis 8', async () => {
      const last = all.at(-1);
      await equal('XNACK', second.release(stream, group, last[0]), 1);
      await equal('XREADGROUP CLAIM', second.readReleased(stream, group, 'second'), [last]);
      await equal('XDELEX ACKED of a pending entry', second.deleteAcknowledged(stream, last[0]), [2]);
      await equal('XACKDEL', second.acknowledgeAndDelete(stream, group, last[0]), [1]);
      all.pop();
      await append(); // what the rest of the course expects
    });
  } else {
    skip('commands of Redis 8', 'this server is older');
  }
  await attempt('the end of the group', async () => {
    await equal('XREVRANGE', main.reversed(stream, 1), all.slice(-1));
    await equal('XDEL', main.deleteEntries(stream, [all[0][0], all[1][0]]), 2);
    await equal('XTRIM', main.xtrim(stream, 5), 6);
    await within('XSETID', main.setLast(stream, '9999999999999-0'));
    await equal('XINFO STREAM', main.info(stream), { length: 5, last: '9999999999999-0' });
    await within('XGROUP SETID', main.setGroup(stream, group, '0'));
    await equal('XREADGROUP behind XGROUP SETID', first.readGroup(stream, group, 'first', '>', 100), all.slice(-5));
    await equal('XGROUP DELCONSUMER', main.deleteConsumer(stream, group, 'first'), 5);
    await equal('XGROUP DESTROY', main.destroy(stream, group), 1);
    await refused('XREADGROUP of a group that has ended', first.readGroup(stream, group, 'first', '>', 1));
    await equal('DEL', main.del(stream), 1);
    first.close();
    second.close();
  });
}

module.exports = { share };
