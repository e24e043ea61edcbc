/** What a node says of its process: read in one place, kept for a moment, and absent where there is no directory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DataDirectory, make, makeDataBytes } from "../../src/server/ProcessFacts.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"

describe("the facts of a process", () => {
  it.effect("name memory, and the room of the data directory's disk", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      const facts = yield* Effect.provideService(make, DataDirectory, directory)
      const { memory, room, uptimeMs } = yield* facts
      assert.isAbove(uptimeMs, 0)
      assert.isAbove(memory.residentBytes, memory.heapBytes)
      assert.isAbove(memory.heapLimitBytes, memory.heapBytes)
      assert.isAbove(room?.freeBytes ?? 0, 0)
      assert.isAtLeast(room?.totalBytes ?? 0, room?.freeBytes ?? 0)
    }))

  it.effect("say nothing of a disk that is not there, nor that cannot be asked", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* yield* make).room)
      assert.isUndefined(yield* yield* makeDataBytes)
      const gone = join(yield* temporaryFolder, "gone")
      assert.isUndefined((yield* yield* Effect.provideService(make, DataDirectory, gone)).room)
    }))

  it.effect("count what files below take, and count again after five seconds", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      mkdirSync(join(directory, "rows"))
      writeFileSync(join(directory, "rows", "1.sst"), Buffer.alloc(100_000))
      const dataBytes = yield* Effect.provideService(makeDataBytes, DataDirectory, directory)
      const first = yield* dataBytes
      assert.isAtLeast(first ?? 0, 100_000)
      rmSync(join(directory, "rows"), { recursive: true })
      assert.strictEqual(yield* dataBytes, first)
      yield* TestClock.adjust(5_001)
      assert.strictEqual(yield* dataBytes, 0)
    }))

  it("are read in one place", () => {
    const source = join(import.meta.dirname, "../../src")
    const readers = (word: RegExp) =>
      readdirSync(source, { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts") && word.test(readFileSync(join(source, path), "utf8")))
    assert.deepEqual(readers(/\bstatfs(Sync)?\b/), ["storage/DirectoryRoom.ts"])
    assert.deepEqual(readers(/\bmemoryUsage\b/), ["server/ProcessFacts.ts"])
    assert.deepEqual(readers(/\bprocess\.uptime\b/), ["server/ProcessFacts.ts"])
  })
})
