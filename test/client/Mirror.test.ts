/** A mirror of some prefixes: what it holds, when it has seen a revision, and how it ends. */
import { assert, it, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Stream } from "effect"
import type { WriteFailure } from "../../src/client/KeyValue.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Mirror } from "../../src/client/Mirror.ts"
import { Op } from "../../src/client/Txn.ts"
import type { Changes, Listed } from "../../src/client/WatchNotice.ts"
import { Watch } from "../../src/client/Watch.ts"
import { Compacted } from "../../src/FlareDbError.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { WatchServer } from "../../src/server/WatchServer.ts"
import { stores } from "./Stores.ts"

const shown = (mirror: Mirror) =>
  [...mirror.entries].map(({ keyText, text }) => `${keyText}=${text}`).sort((a, b) => a < b ? -1 : 1)

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`on ${store.name}`, (it) => {
    it.effect("holds what is under its prefixes, as of any revision that is awaited", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("m/a/1", "1")
        yield* kv.put("m/b", "1")
        yield* kv.put("m/c/1", "1")
        const updates: Array<Listed | Changes> = []
        const mirror = yield* Mirror.make({
          prefixes: ["m/a/", "m/c/", "m/d"],
          progressMs: 60_000,
          onUpdate: (update) => updates.push(update)
        })
        assert.deepStrictEqual(shown(mirror), ["m/a/1=1", "m/c/1=1"])
        const { revision } = yield* kv.transact({ do: [Op.put("m/a/2", "2"), Op.delete("m/c/1"), Op.put("m/d", "4")] })
        yield* mirror.awaitRevision(revision)
        assert.deepStrictEqual(shown(mirror), ["m/a/1=1", "m/a/2=2", "m/d=4"])
        assert.deepStrictEqual(Option.map(mirror.get("m/a/2"), ({ modRevision }) => modRevision), Option.some(revision))
        assert.isTrue(Option.isNone(mirror.get("m/c/1")))
        assert.deepStrictEqual(updates.map(({ _tag }) => _tag), ["Listed", "Changes"])

        // Nothing under its prefixes changes: the cluster is asked how far it is.
        const elsewhere = yield* kv.put("m/b", "2")
        yield* mirror.awaitRevision(elsewhere.revision)
        assert.isAtLeast(mirror.revision, elsewhere.revision)
        const later = yield* kv.put("m/b", "3")
        assert.isAtLeast(yield* mirror.sync, later.revision)
        assert.isAtLeast(mirror.revision, later.revision)
      }))

    it.effect("asks for no key outside of its prefixes: its user may have no right to any", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const asked: Array<string> = []
        const transact: typeof kv.transact = (txn, options) => {
          for (const { compare } of txn.if ?? []) asked.push(Buffer.from(compare.key).toString())
          return kv.transact(txn, options)
        }
        const mirror = yield* Effect.provideService(
          Mirror.make({ prefixes: ["m/a/", "m/c/"] }),
          KeyValue,
          KeyValue.of({ ...kv, transact })
        )
        yield* mirror.sync
        assert.deepStrictEqual(asked, ["m/a/"])
      }))

    it.effect("lists pages of hundreds of prefixes while they change", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const prefixes = Array.from({ length: 40 }, (_, i) => `many/${i}/`)
        yield* Effect.forEach(prefixes, (prefix) => kv.put(`${prefix}k`, "0"), { concurrency: "unbounded" })
        const change = (prefix: string, i: number): Effect.Effect<unknown, WriteFailure> =>
          i % 2 === 0 ? kv.put(`${prefix}k`, "1") : kv.delete(`${prefix}k`)
        const writing = yield* Effect.forkChild(Effect.forEach(prefixes, change), { startImmediately: true })
        const mirror = yield* Mirror.make({ prefixes })
        yield* Fiber.join(writing)
        yield* mirror.sync
        assert.deepStrictEqual(
          shown(mirror),
          prefixes.filter((_, i) => i % 2 === 0).map((prefix) => `${prefix}k=1`).sort((a, b) => a < b ? -1 : 1)
        )
      }))
  })
}

const inMemory = Effect.provide(FlareDb.layerMemory)

it.effect("ends when what it would hold is too much, at the list and later, and says so to who waits", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const server = yield* WatchServer
    const maxBytes = 10_000
    yield* kv.put("m/1", "v".repeat(6_000))
    const mirror = yield* Effect.scoped(Effect.gen(function*() {
      const mirror = yield* Mirror.make({ prefixes: ["m/"], maxBytes })
      yield* kv.put("m/1", "v".repeat(5_000))
      const { revision } = yield* kv.put("m/2", "v".repeat(5_000))
      assert.deepInclude(yield* Effect.flip(mirror.awaitRevision(revision + 1)), { _tag: "MirrorFull", maxBytes })
      return mirror
    }))
    assert.strictEqual((yield* Effect.flip(mirror.sync))._tag, "MirrorFull")
    const error = yield* Effect.flip(Mirror.make({ prefixes: ["m/"], maxBytes }))
    assert.deepInclude(error, { _tag: "MirrorFull", maxBytes })
    assert.strictEqual(server.counts().watches, 0)
    yield* kv.delete("m/2")
    assert.strictEqual((yield* Mirror.make({ prefixes: ["m/"], maxBytes })).size, 1)
  }).pipe(inMemory))

it.effect("lists anew when history is gone, and who waits is told by the new list", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    const gone = yield* Deferred.make<void>()
    let opened = 0
    // The first watch tells where it begins, and nothing more until its history is gone.
    const cutShort = Watch.of({
      ...watch,
      open: (target, options) =>
        Effect.map(watch.open(target, options), (handle) =>
          opened++ > 0 ? handle : {
            ...handle,
            notices: Stream.concat(
              Stream.take(handle.notices, 1),
              Stream.fromEffect(
                Effect.andThen(Deferred.await(gone), Effect.fail(new Compacted({ requested: 2, oldest: 4 })))
              )
            )
          })
    })
    yield* kv.put("m/1", "1")
    const updates: Array<string> = []
    const mirror = yield* Mirror.make({ prefixes: ["m/"], onUpdate: ({ _tag }) => updates.push(_tag) }).pipe(
      Effect.provideService(Watch, cutShort)
    )
    yield* kv.put("m/2", "2")
    const { revision } = yield* kv.delete("m/1")
    const waiting = yield* Effect.forkChild(mirror.awaitRevision(revision), { startImmediately: true })
    assert.deepStrictEqual([shown(mirror), waiting.pollUnsafe()], [["m/1=1"], undefined])
    yield* Deferred.succeed(gone, undefined)
    yield* Fiber.join(waiting)
    assert.deepStrictEqual(shown(mirror), ["m/2=2"])
    assert.deepStrictEqual([updates, opened], [["Listed", "Listed"], 2])
  }).pipe(inMemory))

it.effect("refuses prefixes that cannot be watched, and options by which it would hold too much or too little", () =>
  Effect.gen(function*() {
    for (const maxBytes of [Number.NaN, Number.POSITIVE_INFINITY, 0, -1, 1.5]) {
      const error = yield* Effect.flip(Mirror.make({ prefixes: ["m/"], maxBytes }))
      assert.deepInclude(error, { _tag: "InvalidArgument", field: "maxBytes" }, String(maxBytes))
    }
    const elsewhere = Mirror.make({ prefixes: ["m/a/", "n/"], listWithin: "m/" })
    assert.deepInclude(yield* Effect.flip(elsewhere), { _tag: "InvalidArgument", field: "listWithin" })
    assert.deepInclude(yield* Effect.flip(Mirror.make({ prefixes: [] })), {
      _tag: "InvalidArgument",
      field: "prefixes"
    })
  }).pipe(inMemory))
