/** What watches are fed from: every revision once, in order, from memory and from the store, until it is compacted. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import type { Command } from "../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand } from "../../src/kv/model/Command.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { allKeys, prefixRange } from "../../src/bytes/KeyRange.ts"
import { KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { ChangeFeed } from "../../src/kv/ChangeFeed.ts"
import type { HistoryLimits } from "../../src/kv/HistoryCut.ts"
import { defaultHistoryLimits } from "../../src/kv/HistoryCut.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { decodeBlock } from "./HistoryBlocks.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

const put = (key: string, value: string): Command => ({ _tag: "Put", key: bytes(key), value: bytes(value), lease: 0 })
const del = (key: string): Command => ({ _tag: "Delete", key: bytes(key) })

const on = (disk: MemoryStore.MemoryDisk, limits: Partial<HistoryLimits> = {}) =>
  Layer.fresh(
    KvStateMachine.layerWith({ ...defaultHistoryLimits, ...limits }).pipe(Layer.provide(MemoryStore.layer(disk)))
  )

const newDisk = () => new MemoryStore.MemoryDisk([1])

/** Applies commands as entries of one batch, timestamped with `timestampMs`. */
const apply = (first: number, commands: ReadonlyArray<Command>, timestampMs = 0) =>
  StateMachine.use((machine) =>
    machine.apply(commands.map((command, i) => ({
      index: LogIndex(first + i),
      term: Term(1),
      kind: "command",
      timestampMs,
      payload: encodeCommand(command)
    })))
  )

const line = (withPrevious: boolean) => ({ changes, revision }: Revision): string =>
  `${revision}: ` +
  changes.map(({ key, previous, record }) =>
    `${text(key)}=${record === undefined ? "gone" : text(record.value)}` +
    (previous === undefined || !withPrevious ? "" : ` (was ${text(previous.value)})`)
  ).join(", ")

/** Everything from a revision on to the last one, part by part. */
const readAll = Effect.fnUntraced(function*(from: number, range = allKeys, previous = false) {
  const feed = yield* ChangeFeed
  const lines: Array<string> = []
  for (let next = from; next <= feed.revision();) {
    const part = yield* feed.next({ ranges: KeyRanges.of(range), previous }, next)
    assert.isAtLeast(part.through, next)
    lines.push(...part.revisions.map(line(previous)))
    next = part.through + 1
  }
  return lines
})

const some: ReadonlyArray<Command> = [
  put("a", "1"),
  put("b", "1"),
  put("a", "2"),
  {
    _tag: "Transact",
    transaction: {
      compares: [],
      success: [
        { _tag: "Put", key: bytes("b"), value: bytes("2"), lease: 0 },
        { _tag: "Delete", key: bytes("a") },
        { _tag: "Put", key: bytes("c"), value: bytes("1"), lease: 0 }
      ],
      failure: []
    }
  },
  del("nothing"),
  put("a", "3")
]

const expected = ["1: a=1", "2: b=1", "3: a=2 (was 1)", "4: b=2 (was 1), a=gone (was 2), c=1", "5: a=3"]

it.effect("tells of every revision once, in order, each whole", () =>
  Effect.gen(function*() {
    yield* apply(1, some)
    assert.deepStrictEqual(yield* readAll(1, allKeys, true), expected)
    assert.deepStrictEqual(yield* readAll(4, allKeys, true), expected.slice(3))
  }).pipe(Effect.provide(on(newDisk()))))

it.effect("tells the same from the store, after a restart", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    yield* Effect.provide(apply(1, some), on(disk))
    yield* Effect.gen(function*() {
      assert.deepStrictEqual(yield* readAll(1, allKeys, true), expected)
      yield* apply(7, [put("d", "1")])
      assert.deepStrictEqual(yield* readAll(2, allKeys, true), [...expected.slice(1), "6: d=1"])
    }).pipe(Effect.provide(on(disk)))
  }))

it.effect("tells only of what is in the range, and how far it has looked", () =>
  Effect.gen(function*() {
    yield* apply(1, some)
    assert.deepStrictEqual(yield* readAll(1, prefixRange(bytes("b"))), ["2: b=1", "4: b=2"])
    const feed = yield* ChangeFeed
    assert.deepStrictEqual(yield* feed.next({ ranges: KeyRanges.of(prefixRange(bytes("z"))), previous: false }, 1), {
      revisions: [],
      through: 5,
      bytes: 0
    })
  }).pipe(Effect.provide(on(newDisk()))))

it.effect("lets a reader that is ahead wait for what comes next", () =>
  Effect.gen(function*() {
    yield* apply(1, some)
    const feed = yield* ChangeFeed
    const waiting = yield* Effect.forkChild(feed.next({ ranges: KeyRanges.of(allKeys), previous: false }, 6), {
      startImmediately: true
    })
    assert.isUndefined(waiting.pollUnsafe())
    yield* apply(7, [del("nothing")])
    assert.isUndefined(waiting.pollUnsafe(), "nothing changed")
    yield* apply(8, [put("x", "1")])
    assert.deepStrictEqual((yield* Fiber.join(waiting)).revisions.map(line(false)), ["6: x=1"])
  }).pipe(Effect.provide(on(newDisk()))))

it.effect("says what is left when the beginning was compacted, and never skips", () =>
  Effect.gen(function*() {
    yield* apply(1, some)
    const feed = yield* ChangeFeed
    const request = { ranges: KeyRanges.of(allKeys), previous: true }
    yield* apply(7, [{ _tag: "Compact", through: 3 }, put("a", "4")])
    for (const from of [0, 1, 3]) {
      assert.deepInclude(yield* Effect.flip(feed.next(request, from)), { _tag: "Compacted", oldest: 4 })
    }
    assert.deepStrictEqual((yield* readAll(4)).length, 3)
    yield* apply(9, [{ _tag: "Compact", through: 6 }])
    assert.deepInclude(yield* Effect.flip(feed.next(request, 6)), { _tag: "Compacted", oldest: 7 })
  }).pipe(Effect.provide(on(newDisk()))))

/** The blocks of history on a disk, as their first and last revisions. */
const blocksOn = (disk: MemoryStore.MemoryDisk) =>
  [...disk.state.rows].filter(({ key }) => key[0] === 0x20).map((row) => {
    const { first, last } = decodeBlock(row)
    return [first, last]
  })

/** Puts that fill blocks of history: revision `n` puts the key `n % 10`. */
const puts = (from: number, through: number) =>
  Array.from({ length: through - from + 1 }, (_, i) => put(`${(from + i) % 10}`, `${from + i}`))

it.effect("leaves no block of a compacted history in the store, also of its own batch", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    yield* Effect.gen(function*() {
      yield* apply(1, puts(1, 150))
      assert.deepStrictEqual(blocksOn(disk), [[1, 64], [65, 128], [129, 150]])
      yield* apply(151, [{ _tag: "Compact", through: 64 }])
      assert.deepStrictEqual(blocksOn(disk), [[1, 64], [65, 128], [129, 150]], "the compacted revision stays")
      yield* apply(152, [{ _tag: "Compact", through: 65 }])
      assert.deepStrictEqual(blocksOn(disk), [[65, 128], [129, 150]])
      yield* apply(153, [...puts(151, 300), { _tag: "Compact", through: 260 }, put("e", "3")])
      assert.deepStrictEqual(blocksOn(disk), [[257, 301]])
      yield* apply(400, [{ _tag: "Compact", through: 301 }])
      assert.deepStrictEqual(blocksOn(disk), [[257, 301]])
    }).pipe(Effect.provide(on(disk)))
    yield* Effect.gen(function*() {
      const feed = yield* ChangeFeed
      const request = { ranges: KeyRanges.of(allKeys), previous: false }
      assert.deepInclude(yield* Effect.flip(feed.next(request, 301)), { _tag: "Compacted", oldest: 302 })
      yield* apply(401, [put("f", "1")])
      assert.deepStrictEqual(blocksOn(disk), [[257, 302]])
      assert.deepStrictEqual(yield* readAll(302), ["302: f=1"])
    }).pipe(Effect.provide(on(disk)))
  }))

it.effect("tells the same over the borders of blocks, from memory and from the store, with replaced records", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    const fromMemory = yield* Effect.provide(
      Effect.andThen(apply(1, puts(1, 300)), readAll(1, allKeys, true)),
      on(disk)
    )
    assert.strictEqual(fromMemory.length, 300)
    assert.strictEqual(fromMemory[129], "130: 0=130 (was 120)")
    for (const from of [1, 2, 63, 64, 65, 66, 127, 128, 129, 192, 299, 300]) {
      const stored = yield* Effect.provide(readAll(from, allKeys, true), on(disk))
      assert.deepStrictEqual(stored, fromMemory.slice(from - 1), `from ${from}`)
    }
    const some = yield* Effect.provide(readAll(60, prefixRange(bytes("4")), true), on(disk))
    assert.deepStrictEqual(some, fromMemory.slice(59).filter((line) => line.includes(": 4=")))
  }))

it.effect("tells of large revisions between small ones, part by part", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    const large = (i: number) => put(`large ${i % 3}`, `${i}`.padEnd(i % 7 === 0 ? 300_000 : 5_000, "."))
    const commands = Array.from({ length: 120 }, (_, i) => i % 2 === 0 ? large(i) : put(`small ${i % 5}`, `${i}`))
    const fromMemory = yield* Effect.provide(
      Effect.andThen(apply(1, commands), readAll(1, prefixRange(bytes("small")), true)),
      on(disk)
    )
    assert.strictEqual(fromMemory.length, 60)
    const stored = yield* Effect.provide(readAll(1, prefixRange(bytes("small")), true), on(disk))
    assert.deepStrictEqual(stored, fromMemory)
    const all = yield* Effect.provide(readAll(1), on(disk))
    assert.strictEqual(all.length, 120)
  }))

it.effect("replaced records are there from the first revision that is not compacted", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    yield* Effect.provide(apply(1, [...puts(1, 100), { _tag: "Compact", through: 75 }]), on(disk))
    const lines = yield* Effect.provide(readAll(76, allKeys, true), on(disk))
    assert.deepStrictEqual(lines.slice(8, 12), ["84: 4=84", "85: 5=85", "86: 6=86 (was 76)", "87: 7=87 (was 77)"])
  }))

it.effect("goes on with the block that a node which stopped had begun", () =>
  Effect.gen(function*() {
    const stopping = newDisk()
    const running = newDisk()
    const batches = [puts(1, 40), puts(41, 70), puts(71, 127), puts(128, 128), puts(129, 200)]
    let next = 1
    for (const batch of batches) {
      yield* Effect.provide(apply(next, batch), on(stopping))
      next += batch.length
    }
    yield* Effect.provide(apply(1, batches.flat()), on(running))
    assert.deepStrictEqual([...stopping.state.rows], [...running.state.rows])
  }))

it.effect("goes on with the history of a state that was installed, as the node that it came from does", () =>
  Effect.gen(function*() {
    const sender = newDisk()
    yield* Effect.provide(apply(1, [...puts(1, 200), { _tag: "Compact", through: 70 }]), on(sender))
    const sent = yield* Effect.provide(readAll(71, allKeys, true), on(sender))
    const receiver = newDisk()
    const services = KvStateMachine.layerWith(defaultHistoryLimits).pipe(
      Layer.provideMerge(MemoryStore.layer(receiver)),
      Layer.fresh
    )
    yield* Effect.gen(function*() {
      yield* apply(1, [put("own", "1"), put("own", "2")])
      const store = yield* StateStore
      yield* Effect.scoped(Effect.gen(function*() {
        const incoming = yield* store.import
        yield* incoming.write([...sender.state.rows])
        yield* incoming.finish({ index: LogIndex(201), term: Term(1) })
      }))
      yield* StateMachine.use(({ reload }) => reload)
      assert.deepStrictEqual(yield* readAll(71, allKeys, true), sent)
      const feed = yield* ChangeFeed
      const request = { ranges: KeyRanges.of(allKeys), previous: true }
      assert.deepInclude(yield* Effect.flip(feed.next(request, 3)), { _tag: "Compacted", oldest: 71 })
      yield* apply(202, puts(201, 270))
      assert.deepStrictEqual((yield* readAll(199, allKeys, true)).slice(2), yield* readAll(201, allKeys, true))
    }).pipe(Effect.provide(services))
    yield* Effect.provide(apply(202, puts(201, 270)), on(sender))
    assert.deepStrictEqual([...receiver.state.rows], [...sender.state.rows])
    const afterwards = yield* Effect.provide(readAll(71, allKeys, true), on(receiver))
    assert.deepStrictEqual(afterwards, yield* Effect.provide(readAll(71, allKeys, true), on(sender)))
  }))

/** Bytes of a block before its first revision. */
const blockHeadBytes = 8

it.effect("ends before a damaged revision, and names it when that is asked for", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    yield* Effect.provide(apply(1, puts(1, 200)), on(disk))
    const [, second] = [...disk.state.rows].filter(({ key }) => key[0] === 0x20)
    assert(second !== undefined)
    // The tag of its second revision's change.
    second.value[blockHeadBytes + decodeBlock(second).bytesOf(65) + 16] = 0xff
    const request = { ranges: KeyRanges.of(allKeys), previous: false }
    yield* Effect.gen(function*() {
      const feed = yield* ChangeFeed
      assert.strictEqual((yield* feed.next(request, 1)).through, 65)
      const error = yield* Effect.flip(feed.next(request, 66))
      assert.deepInclude(error, { _tag: "StorageCorruption" })
      assert.include(error.message, "revision 66")
    }).pipe(Effect.provide(on(disk)))
    second.value.fill(0xff)
    yield* Effect.gen(function*() {
      const feed = yield* ChangeFeed
      assert.strictEqual((yield* feed.next(request, 1)).through, 64)
      const error = yield* Effect.flip(feed.next(request, 65))
      assert.deepInclude(error, { _tag: "StorageCorruption" })
      assert.include(error.message, "revision 65")
    }).pipe(Effect.provide(on(disk)))
  }))

it.effect("a machine whose last block of history is missing or damaged does not start", () =>
  Effect.gen(function*() {
    const disk = newDisk()
    yield* Effect.provide(apply(1, puts(1, 200)), on(disk))
    const last = [...disk.state.rows].findLast(({ key }) => key[0] === 0x20)
    assert(last !== undefined)
    last.value.fill(0xff)
    const error = yield* Effect.flip(Effect.provide(ChangeFeed, on(disk)))
    assert.deepInclude(error, { _tag: "StorageCorruption" })
    assert.include(error.message, "revision 200")
  }))

/** The commands that are due, as tags and what they carry. */
const due = (logTimeMs: number) =>
  StateMachine.use((machine) =>
    Effect.map(machine.due(logTimeMs), (commands) =>
      commands.map((command) => {
        const decoded = decodeCommand(command)
        assert(decoded._tag === "Decoded")
        return decoded.command
      }))
  )

const bound = (limits: Partial<HistoryLimits>, work: Effect.Effect<void, unknown, StateMachine | ChangeFeed>) =>
  Effect.provide(work, on(newDisk(), limits))

it.effect("history is cut at its bound of revisions, with a little slack", () =>
  bound(
    { maxHistoryRevisions: 10 },
    Effect.gen(function*() {
      yield* apply(1, Array.from({ length: 11 }, (_, i) => put(`k${i}`, "v")))
      assert.deepStrictEqual(yield* due(0), [])
      yield* apply(12, [put("one", "more")])
      assert.deepStrictEqual(yield* due(0), [{ _tag: "Compact", through: 2 }])
      yield* apply(13, yield* due(0))
      assert.deepStrictEqual(yield* due(0), [])
    })
  ))

it.effect("history is cut at its bound of bytes", () =>
  bound(
    { maxHistoryBytes: 10_000 },
    Effect.gen(function*() {
      yield* apply(1, Array.from({ length: 30 }, (_, i) => put(`k${i}`, "v".repeat(900))))
      const [compact] = yield* due(0)
      assert(compact?._tag === "Compact")
      assert.isAbove(compact.through, 15)
      assert.isBelow(compact.through, 25)
      yield* apply(31, [compact])
      assert.deepStrictEqual(yield* due(0), [])
    })
  ))

it.effect("history is cut at its age", () =>
  bound(
    { maxHistoryAgeMs: 1_000 },
    Effect.gen(function*() {
      for (let i = 0; i < 10; i++) yield* apply(1 + i, [put(`k${i}`, "v")], 1 + i * 100)
      assert.deepStrictEqual(yield* due(1_000), [])
      assert.deepStrictEqual(yield* due(1_450), [{ _tag: "Compact", through: 5 }])
      const [last] = yield* due(1_000_000)
      assert(last !== undefined)
      assert.deepStrictEqual(last, { _tag: "Compact", through: 9 })
      yield* apply(11, [last], 1_000_000)
      assert.deepStrictEqual(yield* due(2_000_000), [], "the last revision stays, however old it is")
    })
  ))

it.effect("the log keeps telling the time while a lease waits, and ends the lease when its time is over", () =>
  bound(
    {},
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* due(1_000_000), [])
      const [granted] = yield* apply(1, [{ _tag: "GrantLease", ttlMs: 10_000 }], 5_000)
      assert.isDefined(granted)
      assert.deepStrictEqual(yield* due(5_500), [])
      assert.deepStrictEqual(yield* due(6_000), [{ _tag: "Checkpoint" }])
      assert.deepStrictEqual(yield* due(15_000), [{ _tag: "Expire", leases: [1], sessions: [] }])
      yield* apply(2, [{ _tag: "KeepAlive", lease: 1 }, { _tag: "Expire", leases: [1], sessions: [] }], 15_000)
      assert.deepStrictEqual(yield* due(15_500), [], "a keep-alive that came first wins")
    })
  ))

it.effect("tells the same to who asks after nobody did for long, and goes on from there", () =>
  Effect.gen(function*() {
    const puts = (count: number) => Array.from({ length: count }, (_, i) => put(`k${i}`, "v"))
    let applied = 0
    const applyMore = (count: number) =>
      Effect.flatMap(apply(applied + 1, puts(count)), (replies) => {
        applied += replies.length
        return replies.length < count ? Effect.die("not all were applied") : Effect.void
      })
    const revisionsFrom = (from: number) =>
      Effect.map(readAll(from), (lines) => lines.map((one) => Number(one.split(":")[0])))
    const numbers = (from: number, through: number) => Array.from({ length: through - from + 1 }, (_, i) => from + i)
    for (let i = 0; i < 12; i++) yield* applyMore(500)
    const feed = yield* ChangeFeed
    const waits = yield* Effect.forkChild(feed.next({ ranges: KeyRanges.of(allKeys), previous: false }, 6_001))
    yield* Effect.yieldNow
    yield* applyMore(1)
    assert.strictEqual((yield* Fiber.join(waits)).through, 6_001)
    assert.deepStrictEqual(yield* revisionsFrom(5_000), numbers(5_000, 6_001))
    yield* applyMore(3)
    assert.deepStrictEqual(yield* revisionsFrom(1), numbers(1, 6_004))
  }).pipe(Effect.provide(on(newDisk()))))
