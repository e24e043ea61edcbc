/** What makes a new durable floor durable: the calls, in their order. */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import type * as Files from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { afterAll, afterEach, assert, beforeEach, it, vi } from "vitest"
import { LogIndex, Term } from "../../src/raft/Types.ts"

const calls = vi.hoisted(() => {
  // Files of one worker share modules: those under test are loaded again, over the file system below.
  vi.resetModules()
  return { made: [] as Array<string>, failing: undefined as string | undefined }
})

afterAll(() => {
  vi.doUnmock("node:fs/promises")
  vi.resetModules()
})

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof Files>()
  const made = (call: string): void => {
    calls.made.push(call)
    if (call === calls.failing) throw Object.assign(new Error(`EIO: i/o error, ${call}`), { code: "EIO" })
  }
  return {
    ...real,
    open: async (path: string, flags: string) => {
      const file = await real.open(path, flags)
      const name = basename(path).replace(/^flaredb-floor-.*/, "directory")
      return {
        write: async (bytes: Uint8Array) => {
          made(`write ${name}`)
          return file.write(bytes)
        },
        sync: async () => {
          made(`sync ${name}`)
          await file.sync()
        },
        close: () => file.close()
      }
    },
    rename: async (from: string, to: string) => {
      made(`rename ${basename(from)} ${basename(to)}`)
      await real.rename(from, to)
    }
  }
})

const { readFloor, writeFloor } = await import("../../src/storage/DurableFloor.ts")

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flaredb-floor-"))
  calls.made = []
  calls.failing = undefined
})

afterEach(() => rmSync(directory, { recursive: true }))

const floor = (index: number) => ({ index: LogIndex(index), term: Term(1) })

const steps = [
  "write durable-floor.next",
  "sync durable-floor.next",
  "rename durable-floor.next durable-floor",
  "sync directory"
]

it("the new file is synced before it takes the name of the old one, and then its name is", async () => {
  await Effect.runPromise(writeFloor(directory, floor(7)))
  assert.deepEqual(calls.made, steps)
  assert.deepEqual(await Effect.runPromise(readFloor(directory)), floor(7))
})

it.each(steps)("a failure to %s is the caller's, and ends there", async (step) => {
  await Effect.runPromise(writeFloor(directory, floor(1)))
  calls.made = []
  calls.failing = step
  const error = await Effect.runPromise(Effect.flip(writeFloor(directory, floor(2))))
  assert.match(error.message, /write the durable floor failed.*EIO/)
  assert.deepEqual(calls.made, steps.slice(0, steps.indexOf(step) + 1))
  const named = steps.indexOf(step) > 2 ? 2 : 1
  assert.deepEqual(await Effect.runPromise(readFloor(directory)), floor(named))
})

it("a directory that is gone is told as that, and not as a bad disk", async () => {
  const error = await Effect.runPromise(Effect.flip(writeFloor(join(directory, "gone"), floor(1))))
  assert.strictEqual(error._tag, "DataDirLost")
})
