/** Two servers of an event log on a store whose history is compacted all the time, and a reader that was away. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import type { EventLogMessage } from "effect/eventlog"
import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
import { layerEventLogStorageUnencrypted } from "../../src/actors/index.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { memory } from "./Stores.ts"

const store = "store" as EventLogMessage.StoreId

const entryOf = (writer: number, n: number) =>
  new EventJournal.Entry({
    id: EventJournal.makeEntryIdUnsafe(),
    event: "event",
    primaryKey: `${writer} ${n}`,
    payload: new Uint8Array(8)
  }, { disableChecks: true })

it.live("readers get every entry once and in order over compactions, also one that was away meanwhile", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const admin = yield* Effect.provide(ClusterAdmin, services)
    const servers = yield* Effect.forEach([0, 1], () =>
      Effect.map(
        Layer.build(Layer.fresh(Layer.provide(layerEventLogStorageUnencrypted(), services))),
        Context.get(EventLogServerUnencrypted.Storage)
      ))
    const each = 60
    const read = (server: number, behind: number, count: number) =>
      Stream.runCollect(Stream.take(
        servers[server]!.changes({ storeId: store, startSequence: behind + 1, compactors: new Map() }),
        count
      ))
    yield* Effect.forkChild(Effect.forever(Effect.andThen(admin.compact(), Effect.sleep(1))))
    const write = (from: number, to: number) =>
      Effect.forEach(servers, (server, writer) =>
        Effect.forEach(
          Array.from({ length: to - from }, (_, i) => from + i),
          (n) => server.write(store, [entryOf(writer, n)]),
          { discard: true }
        ), { concurrency: 2, discard: true })
    const always = yield* Effect.forEach([0, 1], (server) => Effect.forkChild(read(server, 0, 2 * each)))
    const away = yield* Effect.forkChild(read(1, 0, each / 2))
    yield* write(0, each / 2)
    const before = yield* Fiber.join(away)
    yield* write(each / 2, each)
    const after = yield* read(0, before.length, 2 * each - before.length)
    for (const all of [...yield* Effect.forEach(always, (reader) => Fiber.join(reader)), [...before, ...after]]) {
      assert.deepStrictEqual(all.map(({ remoteSequence }) => remoteSequence), all.map((_, i) => i + 1))
      for (const writer of [0, 1]) {
        const own = all.map(({ entry }) => entry.primaryKey).filter((key) => key.startsWith(`${writer} `))
        assert.deepStrictEqual(own, Array.from({ length: each }, (_, n) => `${writer} ${n}`))
      }
    }
  })))
