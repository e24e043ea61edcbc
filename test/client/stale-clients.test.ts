/**
 * A client whose reads are `stale` unless they say otherwise. That is for what its program reads: locks, mirrors and
 * changes of a key decide on the latest state nevertheless. The node that it asks first is behind for good.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Elections } from "../../src/client/Election.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Locks } from "../../src/client/Lock.ts"
import { Mirror } from "../../src/client/Mirror.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Watch } from "../../src/client/Watch.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

/** Runs `work` with such a client, on a cluster that had two keys when the node was cut off. */
const behind = <A, E>(work: Effect.Effect<A, E, ClientServices>) =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime: TestClock.adjust(10) })
    const leader = yield* cluster.leader()
    const old = cluster.nodes.find((node) => node !== leader) ?? assert.fail("two nodes follow")
    yield* leader.put("counter", "1")
    yield* leader.put("gone", "1")
    yield* cluster.converged
    cluster.isolate(old)
    const byAge = [...cluster.nodes].sort((a, b) => Number(b === old) - Number(a === old))
    const endpoints = byAge.map((node) => cluster.endpoints[cluster.nodes.indexOf(node)] ?? assert.fail("no endpoint"))
    const services = yield* Layer.build(
      RemoteClient.layerConnect({ endpoints, consistency: "stale" }, cluster.connect)
    )
    const kv = Context.get(services, KeyValue)
    return yield* cluster.whileTimePasses(
      Effect.gen(function*() {
        yield* kv.put("counter", "2")
        yield* kv.delete("gone")
        assert.strictEqual(Option.getOrThrow(yield* kv.get("counter")).text, "1", "the client's own reads are stale")
        return yield* work
      }).pipe(Effect.provide(services))
    )
  })

it.effect("takes a lock, waits for one, and leads", () =>
  behind(Effect.gen(function*() {
    const locks = yield* Locks
    const elections = yield* Elections
    const first = yield* locks.withLock("lock", (lock) =>
      Effect.gen(function*() {
        assert.isTrue(Option.isNone(yield* Effect.scoped(locks.tryAcquire("lock"))), "another one has it")
        return lock.revision
      }))
    assert.isAbove(yield* locks.withLock("lock", ({ revision }) => Effect.succeed(revision)), first)
    yield* Effect.scoped(Effect.asVoid(elections.campaign("election", "me")))
  })))

it.effect("shows a change of a key what the key holds", () =>
  behind(Effect.gen(function*() {
    const kv = yield* KeyValue
    const seen: Array<string> = []
    yield* kv.modify("counter", (current) => {
      seen.push(Option.getOrThrow(current).text)
      return "3"
    }, { attempts: 1 })
    assert.deepStrictEqual(seen, ["2"])
  })))

it.effect("has mirrors that list what there is, and wait for what was acknowledged", () =>
  behind(Effect.scoped(Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    const [listed] = yield* Stream.runCollect(Stream.take(watch.mirror(""), 1))
    if (listed?._tag !== "Listed") return assert.fail("a mirror begins with a list")
    assert.deepStrictEqual(listed.entries.map(({ keyText, text }) => [keyText, text]), [["counter", "2"]])
    const mirror = yield* Mirror.make({ prefixes: ["counter"] })
    const { revision } = yield* kv.put("counter", "3")
    assert.isAtLeast(yield* mirror.sync, revision)
    assert.strictEqual(Option.getOrThrow(mirror.get("counter")).text, "3")
  }))))
