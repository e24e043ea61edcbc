/** An effect of the client is a value: each run of it is an operation of its own, one after another or all at once. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Commands } from "../../src/client/Commands.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Op } from "../../src/client/Txn.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

it.effect("writes that are run at the same time take effect once each", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const leases = yield* Leases
    const all = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.all([effect, effect, effect], { concurrency: "unbounded" })
    yield* kv.put("before", "opens the session")
    const puts = yield* all(kv.put("key", "value"))
    assert.deepStrictEqual(puts.map(({ version }) => version), [1, 2, 3])
    const txns = yield* all(kv.transact({ do: [Op.put("other", "value")] }))
    assert.deepStrictEqual(new Set(txns.map(({ revision }) => revision)).size, 3)
    const granted = yield* all(leases.grant(60_000))
    assert.strictEqual(new Set(granted.map(({ id }) => id)).size, 3, "no two callers have the same lease")
    const deletes = yield* all(kv.delete("key"))
    assert.deepStrictEqual(deletes.map(({ deleted }) => deleted), [true, false, false])
  }).pipe(Effect.provide(FlareDb.layerMemory)))

it.effect("a write that is run again leaves what stands in the log of a node of this process as it is", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime: TestClock.adjust(10) })
    const leader = yield* cluster.leader()
    const slow = cluster.nodes.find((node) => node !== leader) ?? assert.fail("two nodes follow")
    const endpoints = cluster.endpoints.filter((_, index) => cluster.nodes[index] === leader)
    const services = yield* Layer.build(RemoteClient.layerConnect({ endpoints }, cluster.connect))
    const put = Context.get(services, KeyValue).put("key", "value")
    cluster.isolate(slow)
    const versions = yield* cluster.whileTimePasses(Effect.all([put, put, put]))
    assert.deepStrictEqual(versions.map(({ version }) => version), [1, 2, 3])
    cluster.heal()
    yield* cluster.converged
    for (const node of cluster.nodes) {
      const reply = yield* node.ask({ _tag: "Get", key: new TextEncoder().encode("key") }, "stale")
      if (reply._tag !== "GetReply") return assert.fail(reply._tag)
      assert.strictEqual(reply.record?.version, 3, `node ${node.id}`)
    }
  }))

it.effect("a command belongs to the log once it is written: its caller may fill the same array with the next one", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime: TestClock.adjust(10) })
    const leader = yield* cluster.leader()
    const commands = Context.get(yield* Layer.build(cluster.commands), Commands)
    const command = (key: string) =>
      encodeCommand({ _tag: "Put", key: new TextEncoder().encode(key), value: new Uint8Array(8), lease: 0 })
    cluster.isolate(cluster.nodes.find((node) => node !== leader) ?? assert.fail("two nodes follow"))
    const array = command("first")
    yield* cluster.whileTimePasses(commands.write(array))
    array.set(command("other"))
    cluster.heal()
    yield* cluster.converged
    for (const node of cluster.nodes) assert.isString(yield* node.get("first", "stale"), `node ${node.id}`)
  }))
