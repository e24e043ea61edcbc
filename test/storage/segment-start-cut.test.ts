/**
 * A start that takes over segments is cut at each of its calls to the system: by a kill, by a power loss that leaves
 * nothing which was not synced, and by one that leaves some of it. The next start finds the same log, and so does the
 * one after it, whichever of them is cut.
 */
import type * as Files from "node:fs"
import type * as Promises from "node:fs/promises"
import { join } from "node:path"
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
const { closeSync, linkSync, mkdirSync, mkdtempSync, openSync, readdirSync } = files
const { rmSync, statSync, truncateSync, writeFileSync, writeSync } = files
const { tmpdir } = await import("node:os")
const { origin } = await import("../../src/raft/Types.ts")
const { encodeEntries } = await import("../../src/protocol/EntryRecord.ts")
const { sampleEntries } = await import("../../src/testing/LogStoreSuite.ts")
const { Random } = await import("../simulation/Random.ts")
const { VolatileDisk } = await import("../power-loss/VolatileDisk.ts")
const { findEntries, openSegments, pointAt, segmentBytes, segmentPath, textsOf, writeSegment } = await import(
  "./Segments.ts"
)
type Disk = InstanceType<typeof VolatileDisk>
type Log = Awaited<ReturnType<typeof openSegments>>

const zeros = Buffer.alloc(2_000)

/** Some directory of a node that was killed, with a log that ends behind 9 and begins behind `compacted`. */
interface Scene {
  readonly name: string
  readonly compacted: typeof origin
  /** What is durable. */
  readonly make: (folder: string) => void
  /** What the process that was killed had written to the last segment without a sync, if there is such. */
  readonly unsynced?: {
    readonly sequence: number
    readonly entries: ReturnType<typeof sampleEntries>
    readonly syncFailed: boolean
  }
}

const unended = (sequence: number, base: typeof origin, entries: ReturnType<typeof sampleEntries>): Buffer =>
  Buffer.concat([segmentBytes(sequence, base, entries), zeros])

/** Two segments, of which the last was not ended, and a file made ahead. */
const makeUnended = (folder: string): void => {
  writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 5, 1)))
  writeSegment(folder, 2, unended(2, pointAt(5, 1), sampleEntries(6, 9, 1)))
  writeSegment(folder, 3, zeros)
}

const scenes: ReadonlyArray<Scene> = [
  {
    name: "one segment that was not ended, and a file made ahead",
    compacted: origin,
    make: (folder) => {
      writeSegment(folder, 1, unended(1, origin, sampleEntries(1, 9, 1)))
      writeSegment(folder, 2, zeros)
    }
  },
  {
    name: "segments of which the last was not ended, and a file made ahead",
    compacted: origin,
    make: makeUnended
  },
  {
    name: "a segment that took the place of the end of another one, and half a header behind it",
    compacted: origin,
    make: (folder) => {
      writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 7, 1)))
      writeSegment(folder, 2, segmentBytes(2, pointAt(7, 1), sampleEntries(8, 11, 1)))
      writeSegment(folder, 3, unended(3, pointAt(5, 1), sampleEntries(6, 9, 2)))
      writeSegment(folder, 4, Buffer.concat([segmentBytes(4, pointAt(9, 2), []).subarray(0, 30), zeros]))
    }
  },
  {
    name: "segments that a compaction has not removed yet",
    compacted: pointAt(6, 1),
    make: (folder) => {
      writeSegment(folder, 4, segmentBytes(4, origin, sampleEntries(1, 5, 1)))
      writeSegment(folder, 5, unended(5, pointAt(5, 1), sampleEntries(6, 9, 1)))
      writeSegment(folder, 6, zeros)
    }
  },
  {
    name: "what a start of the same process id has left that was killed",
    compacted: origin,
    make: (folder) => {
      makeUnended(folder)
      writeFileSync(`${segmentPath(folder, 4)}.partial-${process.pid}`, zeros.subarray(0, 99))
    }
  },
  ...[false, true].map((syncFailed): Scene => ({
    name: `entries ${syncFailed ? "of which the sync failed" : "that no sync covered"}`,
    compacted: origin,
    make: (folder) => {
      writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 5, 1)))
      writeSegment(folder, 2, segmentBytes(2, pointAt(5, 1), sampleEntries(6, 7, 1)))
      writeSegment(folder, 3, zeros)
    },
    unsynced: { sequence: 2, entries: sampleEntries(8, 9, 1), syncFailed }
  }))
]

class Cut extends Error {}

/** A directory, its disk, and links to what was in it, to be had again after a loss of power. */
class Machine {
  readonly folder: string
  private readonly links: string
  private readonly root: string
  private disk: Disk
  private readonly linked = new Set<string>()

  constructor({ make, unsynced }: Scene) {
    this.root = mkdtempSync(join(tmpdir(), "flaredb-cut-"))
    this.folder = join(this.root, "data")
    this.links = join(this.root, "links")
    mkdirSync(this.folder)
    mkdirSync(this.links)
    make(this.folder)
    this.disk = new VolatileDisk(this.folder)
    if (unsynced !== undefined) this.write(unsynced)
  }

  /** Takes over the log with at most `calls` calls that change something. Whether it was done. */
  async start(compacted: typeof origin, calls: number): Promise<boolean> {
    let left = calls
    watched.by = {
      begin: (call) => {
        if (left-- <= 0) throw new Cut()
        if (call.name === "unlink" || call.name === "rename") this.keep()
        this.disk.begin(call)
      },
      end: (call) => this.disk.end(call)
    }
    let log: Log | undefined
    try {
      log = await openSegments(this.folder, { compacted, segmentBytes: 2_000, failed: () => undefined })
    } catch (error) {
      if (!(error instanceof Cut)) throw error
    }
    // It makes the file after the next beside.
    do await new Promise((resolve) => setTimeout(resolve, 1))
    while (watched.pending > 0)
    watched.by = undefined
    log?.abandon()
    return log !== undefined
  }

  /** The power goes, or only the process. */
  loses(loss: Loss | "nothing", random: InstanceType<typeof Random>): void {
    this.keep()
    if (loss === "nothing") return this.disk.outlive()
    this.disk.lose(loss, {
      find: (names, others) =>
        readdirSync(this.links).toReversed().map((name) => join(this.links, name))
          .find((path) => names.some((name) => path.endsWith(`-${name}`)) && !others.has(statSync(path).ino))
    }, random)
    this.disk = new VolatileDisk(this.folder)
  }

  remove(): void {
    rmSync(this.root, { recursive: true })
  }

  private keep(): void {
    for (const name of readdirSync(this.folder)) {
      const path = join(this.folder, name)
      const file = `${statSync(path).ino}-${name}`
      if (this.linked.has(file)) continue
      this.linked.add(file)
      linkSync(path, join(this.links, `${String(this.linked.size).padStart(6, "0")}-${name}`))
    }
  }

  /** What the process before wrote to a segment that it had synced, of which the next sync failed or never came. */
  private write({ entries, sequence, syncFailed }: NonNullable<Scene["unsynced"]>): void {
    const { disk } = this
    const path = segmentPath(this.folder, sequence)
    const bytes = encodeEntries(entries)
    const end = statSync(path).size
    const call = (name: string, text: string, result = 0): Call => ({ name, paths: [path], text, result })
    const sync = (): Call => {
      const made = call("fsync", "")
      disk.begin(made)
      return made
    }
    truncateSync(path, 2_000)
    disk.end(call("ftruncate", ", 2000"))
    disk.end(sync())
    const file = openSync(path, "r+")
    writeSync(file, bytes, 0, bytes.byteLength, end)
    closeSync(file)
    disk.end(call("pwrite64", `, ${end}`, bytes.byteLength))
    if (syncFailed) disk.fail(sync())
  }
}

/** Entries that are durable before a start: the others are not needed, as long as no start has come to its end. */
const durableIn = ({ unsynced }: Scene): number => unsynced === undefined ? 9 : 7

const logIn = async ({ compacted }: Scene, { folder }: Machine): Promise<ReadonlyArray<string>> => {
  const { entries, found } = await findEntries(folder, compacted)
  assert.isUndefined(found.check.problem)
  return textsOf(entries)
}

/** What is lost after the first of the starts, and after each of the others. */
const losses: ReadonlyArray<{ readonly name: string; readonly losesAt: (first: boolean) => Loss | "nothing" }> = [
  { name: "the machine ran on", losesAt: () => "nothing" },
  { name: "all was lost that was not synced", losesAt: () => "all" },
  { name: "some was lost that was not synced", losesAt: () => "some" },
  { name: "the machine ran on, and then some was lost", losesAt: (first) => first ? "nothing" : "some" }
]

describe.each(scenes)("a start on $name", (scene) => {
  const first = scene.compacted.index + 1

  it.each(losses)("that was cut anywhere is made up for: $name", async ({ losesAt }) => {
    const random = new Random(7)
    let calls = 0
    for (let whole = false; !whole; calls++) {
      const machine = new Machine(scene)
      const all = await logIn(scene, machine)
      assert.strictEqual(all.length, 10 - first)
      /** What a start has found to its end is there for the next one. */
      let durable = durableIn(scene)
      for (const most of [calls, random.below(calls + 1), Infinity]) {
        const found = await logIn(scene, machine)
        assert.deepStrictEqual(found, all.slice(0, found.length), `cut after ${calls} calls`)
        assert.isAtLeast(found.length, durable + 1 - first, `cut after ${calls} calls`)
        const ended = await machine.start(scene.compacted, most)
        if (most === calls) whole = ended
        if (ended) durable = found.length + first - 1
        machine.loses(losesAt(most === calls), random)
      }
      machine.loses("all", random)
      assert.lengthOf(await logIn(scene, machine), durable + 1 - first, `cut after ${calls} calls`)
      machine.remove()
    }
    assert.isAbove(calls, 8)
  })
})
