/**
 * A log in segments, with its database and its state, is cut at each call to the system of what changes it: a
 * compaction, a snapshot and the restart of the log behind it, the removal of a conflicting end, and entries that fill
 * segments. The next start, which is cut too, and the one after it find what was acknowledged, and leave no file behind.
 */
import { Effect, Exit, Layer, Schedule, type Scope } from "effect"
import type * as Files from "node:fs"
import type * as Promises from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { afterAll, assert, describe, it, vi } from "vitest"
import type { Call } from "../power-loss/SystemCalls.ts"
import type { Loss } from "../power-loss/VolatileDisk.ts"
import type { Watched } from "./WatchedFiles.ts"

const watched = vi.hoisted((): Watched => {
  // Files of one worker share modules: those under test are loaded again, over the file system below.
  vi.resetModules()
  return { by: undefined, paths: new Map<number, string>(), pending: 0 }
})

vi.mock(
  "node:fs",
  async (original) => (await import("./WatchedFiles.ts")).watchedFiles(await original<typeof Files>(), watched)
)

vi.mock(
  "node:fs/promises",
  async (original) => (await import("./WatchedFiles.ts")).watchedPromises(await original<typeof Promises>(), watched)
)

afterAll(() => {
  vi.doUnmock("node:fs")
  vi.doUnmock("node:fs/promises")
  vi.resetModules()
})

const files = await vi.importActual<typeof Files>("node:fs")
const { copyFileSync, cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } = files
const { tmpdir } = await import("node:os")
const { LogIndex, NodeId, Term } = await import("../../src/raft/Types.ts")
const { LogStore } = await import("../../src/storage/LogStore.ts")
const { StateStore } = await import("../../src/storage/StateStore.ts")
const { readFloor } = await import("../../src/storage/DurableFloor.ts")
const RocksStorage = await import("../../src/storage/rocksdb/RocksStorage.ts")
const { SegmentBytes } = await import("../../src/storage/segments/SegmentBytes.ts")
const { isPartial, sequenceOf } = await import("../../src/storage/segments/SegmentFormat.ts")
const { sampleEntry, writeOf } = await import("../../src/testing/LogStoreSamples.ts")
const { put } = await import("../../src/testing/StateStoreSuite.ts")
const { copyCrashImage } = await import("./CrashImage.ts")
const { openFiles } = await import("./OpenFiles.ts")
const { Random } = await import("../simulation/Random.ts")
const { VolatileDisk } = await import("../power-loss/VolatileDisk.ts")
type Disk = InstanceType<typeof VolatileDisk>
type Entry = ReturnType<typeof sampleEntry>
type Write = ReturnType<typeof writeOf>
type Log = (typeof LogStore)["Service"]
type State = (typeof StateStore)["Service"]

class Cut extends Error {}

const point = (index: number, term: number) => ({ index: LogIndex(index), term: Term(term) })

/** So large that a handful of them fills a segment. */
const entries = (from: number, through: number, term: number): ReadonlyArray<Entry> =>
  Array.from(
    { length: through - from + 1 },
    (_, i) => sampleEntry(from + i, term, `${from + i}@${term}`.padEnd(100, "."))
  )

const segmentBytes = 1_000

const storage = (path: string) => RocksStorage.layer({ path, clusterId: "cuts", nodeId: 1, voters: [1, 2, 3] })

/** A node's storage as long as `use` runs. */
const running = async <A>(path: string, use: (log: Log, state: State) => Effect.Effect<A, unknown, Scope.Scope>) =>
  Effect.runPromiseExit(
    Effect.scoped(Effect.flatMap(
      Layer.build(Layer.fresh(storage(path))),
      (services) =>
        Effect.provideContext(
          Effect.flatMap(LogStore, (log) => Effect.flatMap(StateStore, (state) => use(log, state))),
          services
        )
    )).pipe(Effect.provideService(SegmentBytes, segmentBytes))
  )

/** What is kept in a file that FlareDB writes itself: what RocksDB writes is taken as it is. */
const isOwn = (name: string): boolean => name.startsWith("flaredb-log-") || name.startsWith("durable-floor")

/** A directory whose process or machine ends at some call. */
class Machine {
  readonly folder: string
  readonly root: string
  private readonly mirror: string
  private readonly links: string
  private image: string | undefined
  private disk: Disk
  private linked = 0
  calls = 0

  constructor(template: string) {
    this.root = mkdtempSync(join(tmpdir(), "flaredb-log-cut-"))
    this.folder = join(this.root, "data")
    this.mirror = join(this.root, "own")
    this.links = join(this.root, "links")
    cpSync(template, this.folder, { recursive: true })
    mkdirSync(this.links)
    this.disk = this.look()
  }

  /** Runs `use` on the storage with at most `most` calls that change something. Whether it came to its end. */
  async run(most: number, use: (log: Log, state: State) => Effect.Effect<unknown, unknown, Scope.Scope>) {
    let left = most
    this.calls = 0
    this.image = undefined
    watched.by = {
      begin: (call) => {
        if (!call.paths.some((path) => path === this.folder || dirname(path) === this.folder)) return
        this.calls += 1
        if (left-- <= 0) {
          if (this.image === undefined) this.take()
          throw new Cut()
        }
        const own = this.own(call)
        if (own !== undefined) this.disk.begin(own)
      },
      end: (call) => {
        // What ends behind the cut is not in the image.
        if (this.image !== undefined) return
        const own = this.own(call)
        if (own === undefined) return
        this.follow()
        this.disk.end(own)
      }
    }
    this.follow()
    const exit = await running(this.folder, use)
    assert.strictEqual(watched.pending, 0, "a storage that is closed is at work")
    assert.deepStrictEqual(openFiles(this.folder), [], "open files of a storage that is closed")
    const late: Array<string> = []
    watched.by = { begin: ({ name, paths }) => late.push([name, ...paths].join(" ")), end: () => undefined }
    // Turns in which a step that was left behind would begin.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.deepStrictEqual(late, [], "calls of a storage that is closed")
    watched.by = undefined
    const whole = this.image === undefined
    if (whole) {
      if (Exit.isFailure(exit)) throw new Error(`failed without a cut: ${String(exit.cause)}`)
      this.take()
    }
    return whole
  }

  /** The power goes, or only the process: the directory is what is left then. */
  loses(loss: Loss | "nothing", random: InstanceType<typeof Random>): void {
    const image = this.image as string
    this.follow()
    if (loss === "nothing") this.disk.outlive()
    else {
      this.disk.lose(loss, {
        find: (names, others) =>
          readdirSync(this.links).toReversed().map((name) => join(this.links, name))
            .find((path) => names.some((name) => path.endsWith(`-${name}`)) && !others.has(statSync(path).ino))
      }, random)
      for (const name of readdirSync(image)) if (isOwn(name)) rmSync(join(image, name))
      for (const name of readdirSync(this.mirror)) copyFileSync(join(this.mirror, name), join(image, name))
    }
    rmSync(this.folder, { recursive: true })
    files.renameSync(image, this.folder)
    if (loss === "nothing") {
      // The files of the mirror are those that calls were told of; the copies have the same bytes.
      rmSync(this.mirror, { recursive: true })
      mkdirSync(this.mirror)
      for (const name of readdirSync(this.folder)) {
        if (isOwn(name)) linkSync(join(this.folder, name), join(this.mirror, name))
      }
    } else this.disk = this.look()
  }

  remove(): void {
    rmSync(this.root, { recursive: true })
  }

  private look(): Disk {
    rmSync(this.mirror, { recursive: true, force: true })
    mkdirSync(this.mirror)
    for (const name of readdirSync(this.folder)) {
      if (isOwn(name)) linkSync(join(this.folder, name), join(this.mirror, name))
    }
    return new VolatileDisk(this.mirror)
  }

  /** The directory as it is right now. */
  private take(): void {
    this.follow()
    const image = join(this.root, "image")
    // Threads of the pool, and RocksDB's, may still be at work.
    copyCrashImage(this.folder, image)
    this.image = image
  }

  /** Gives the mirror the names of the directory, and keeps what they name. */
  private follow(): void {
    if (this.image !== undefined) return
    const names = new Set(readdirSync(this.folder).filter(isOwn))
    for (const name of names) {
      const [path, mirrored] = [join(this.folder, name), join(this.mirror, name)]
      const stats = statSync(path, { throwIfNoEntry: false })
      // A thread of the pool has just removed it.
      if (stats === undefined) continue
      if (statSync(mirrored, { throwIfNoEntry: false })?.ino !== stats.ino) {
        rmSync(mirrored, { force: true })
        linkSync(path, mirrored)
        this.linked += 1
        linkSync(path, join(this.links, `${String(this.linked).padStart(6, "0")}-${name}`))
      }
    }
    for (const name of readdirSync(this.mirror)) if (!names.has(name)) rmSync(join(this.mirror, name))
  }

  /** A call as the mirror has seen it. */
  private own(call: Call): Call | undefined {
    const paths = call.paths.map((path) =>
      path === this.folder ? this.mirror : dirname(path) === this.folder ? join(this.mirror, basename(path)) : path
    )
    if (!paths.some((path) => path === this.mirror || isOwn(basename(path)))) return undefined
    const known = this.known.get(call)
    if (known !== undefined) return Object.assign(known, { result: call.result })
    const own = { ...call, paths }
    this.known.set(call, own)
    return own
  }

  private readonly known = new WeakMap<Call, Call>()
}

/** What is acknowledged while something is carried out. */
interface Acknowledged {
  /** Logs that there may be, as texts by index. */
  logs: ReadonlyArray<ReadonlyMap<number, string>>
  /** The last entry that has to be there. */
  last: number
  applied: number
}

const texts = (...parts: ReadonlyArray<ReadonlyArray<Entry>>): Map<number, string> =>
  new Map(parts.flat().map(({ index, payload }) => [index, Buffer.from(payload).toString()]))

const old = entries(1, 40, 1)

const hardState = (term: number) => ({ term: Term(term), votedFor: NodeId(2), commit: LogIndex(30) })

interface Scene {
  readonly name: string
  readonly carryOut: (log: Log, state: State, known: Acknowledged) => Effect.Effect<unknown, unknown, Scope.Scope>
}

const append = (log: Log, known: Acknowledged, writes: ReadonlyArray<Write>) =>
  Effect.map(log.append(writes), () => {
    const last = writes.at(-1)?.entries.at(-1)
    if (last !== undefined) known.last = last.index
  })

const scenes: ReadonlyArray<Scene> = [
  {
    name: "a compaction",
    carryOut: (log, state, known) =>
      Effect.gen(function*() {
        yield* state.sync
        yield* log.compact(point(17, 1))
        yield* log.compact(point(30, 1))
        known.logs = [texts(old, entries(41, 43, 1))]
        yield* append(log, known, [writeOf(entries(41, 43, 1))])
      })
  },
  {
    name: "a snapshot behind the log, and the restart of the log",
    carryOut: (log, state, known) =>
      Effect.gen(function*() {
        known.logs = [texts(old), texts(entries(61, 75, 3))]
        known.last = 0
        yield* Effect.scoped(Effect.gen(function*() {
          const incoming = yield* state.import
          yield* incoming.write([{ key: Uint8Array.of(1, 2), value: Uint8Array.of(3) }])
          yield* incoming.finish(point(60, 3))
        }))
        known.applied = 60
        yield* log.append([writeOf([], { hardState: hardState(3) })])
        yield* log.reset(point(60, 3))
        known.logs = [texts(entries(61, 75, 3))]
        yield* append(log, known, [writeOf(entries(61, 62, 3))])
        yield* append(log, known, [writeOf(entries(63, 75, 3))])
      })
  },
  {
    name: "the removal of a conflicting end",
    carryOut: (log, _, known) =>
      Effect.gen(function*() {
        const kept = old.slice(0, 33)
        known.logs = [texts(old), texts(kept, entries(34, 50, 2))]
        known.last = 33
        yield* append(log, known, [{
          hardState: hardState(2),
          truncateFrom: LogIndex(34),
          entries: entries(34, 36, 2)
        }])
        known.logs = [texts(kept, entries(34, 50, 2)), texts(kept, entries(34, 34, 2), entries(35, 55, 3))]
        yield* append(log, known, [writeOf(entries(37, 39, 2))])
        known.last = 34
        yield* append(log, known, [
          { hardState: hardState(3), truncateFrom: LogIndex(35), entries: entries(35, 38, 3) },
          writeOf(entries(39, 48, 3))
        ])
      })
  },
  {
    name: "entries that fill segments",
    carryOut: (log, _, known) =>
      Effect.gen(function*() {
        known.logs = [texts(old, entries(41, 70, 1))]
        for (let from = 41; from < 70; from += 5) yield* append(log, known, [writeOf(entries(from, from + 4, 1))])
      })
  }
]

const template = mkdtempSync(join(tmpdir(), "flaredb-log-cut-"))
afterAll(() => rmSync(template, { recursive: true }))

const made = async (name: string): Promise<string> => {
  const path = join(template, name)
  const exit = await running(join(template, `${name}-made`), (log, state) =>
    Effect.gen(function*() {
      yield* log.append([{ hardState: hardState(1), truncateFrom: undefined, entries: old.slice(0, 20) }])
      yield* log.append([writeOf(old.slice(20))])
      yield* state.commit([put("old", "1")], point(30, 1))
      yield* state.sync
      yield* Effect.repeat(readFloor(join(template, `${name}-made`)), {
        until: (floor) => floor?.index === 40,
        schedule: Schedule.spaced(20)
      })
      cpSync(join(template, `${name}-made`), path, { recursive: true })
      rmSync(join(path, "LOCK"), { force: true })
    }))
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
  return path
}

const killed = await made("killed")

/** What a start finds, checked; it goes on, and what it wrote is there. */
const check = async (machine: Machine, known: Acknowledged, what: string): Promise<void> => {
  for (const again of [1, 2]) {
    const exit = await running(machine.folder, (log, state) =>
      Effect.gen(function*() {
        const { compacted, lastIndex } = log.recovered
        const found = yield* log.read(LogIndex(compacted.index + 1), lastIndex, 1_000_000)
        assert.strictEqual(found.length, lastIndex - compacted.index, `${what}: all entries are there`)
        const seen = [...texts(found)]
        assert.isTrue(
          known.logs.some((log) => seen.every(([index, text]) => log.get(index) === text)),
          `${what}: ${JSON.stringify(seen)}`
        )
        assert.isAtLeast(lastIndex, known.last, `${what}: acknowledged`)
        assert.isAtLeast(state.recovered.index, known.applied, what)
        assert.isAtLeast(lastIndex, state.recovered.index, what)
        if (again === 2) return
        const next = entries(lastIndex + 1, lastIndex + 9, 9)
        known.logs = known.logs.map((log) =>
          new Map([...[...log].filter(([index]) => index <= lastIndex), ...texts(next)])
        )
        yield* log.append([{ hardState: hardState(9), truncateFrom: undefined, entries: next }])
        known.last = lastIndex + 9
      }))
    if (Exit.isFailure(exit)) throw new Error(`${what}: ${String(exit.cause)}`)
    const floor = await Effect.runPromise(readFloor(machine.folder))
    assert.strictEqual(floor?.index, known.last, `${what}: the floor`)
    assert.strictEqual(floor?.vote?.term, 9, `${what}: the vote`)
    const names = readdirSync(machine.folder)
    assert.isFalse(names.some(isPartial), `${what}: ${names.join()}`)
    if (again === 2) {
      assert.isAtMost(names.filter((name) => sequenceOf(name) !== undefined).length, 20, `${what}: ${names.join()}`)
      assert.isFalse(names.includes("durable-floor.next"))
    }
  }
}

/** Calls of a start that may be let through. */
const mostCalls = 60

/** `LOG_CUT_STEP=1` cuts at every call, for each kind of loss, which takes minutes; the usual run takes one in so many. */
const wanted = process.env["LOG_CUT_STEP"]
const step = Number(wanted ?? 8)
const seed = Number(process.env["LOG_CUT_SEED"] ?? 7)
const losses = wanted === undefined ? ["some"] as const : ["nothing", "all", "some"] as const

describe.each(scenes)("$name", ({ carryOut }) => {
  it.each(losses)("may be cut anywhere: %s that was not synced is lost", async (loss) => {
    const random = new Random(seed)
    let whole = false
    for (let calls = random.below(step); !whole; calls += step) {
      const what = `cut after ${calls} calls`
      const known: Acknowledged = { logs: [texts(old)], last: 40, applied: 30 }
      const machine = new Machine(killed)
      whole = await machine.run(calls, (log, state) => carryOut(log, state, known))
      machine.loses(loss, random)
      const floor = await Effect.runPromise(readFloor(machine.folder))
      assert.isDefined(floor?.vote, `${what}: a vote is not forgotten`)
      // A start that is cut as well.
      await machine.run(random.below(mostCalls), () => Effect.void)
      machine.loses(loss, random)
      await check(machine, known, what)
      machine.remove()
    }
  }, 500_000)
})
