/** A data directory is as durable as the folders above it. */
import type * as Fs from "node:fs"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { afterAll, afterEach, assert, beforeEach, it, vi } from "vitest"

/** Folders that were opened, by descriptor, and those that were synced, in order. */
const calls = vi.hoisted(() => {
  // Files of one worker share modules: those under test are loaded again, over the file system below.
  vi.resetModules()
  return { opened: new Map<number, string>(), synced: [] as Array<string> }
})

afterAll(() => {
  vi.doUnmock("node:fs")
  vi.resetModules()
})

vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>()
  return {
    ...real,
    openSync: (path: string, ...rest: [string]) => {
      const file = real.openSync(path, ...rest)
      calls.opened.set(file, path)
      return file
    },
    fsyncSync: (file: number) => {
      real.fsyncSync(file)
      calls.synced.push(calls.opened.get(file) ?? "?")
    }
  }
})

const { createDirectory } = await import("../../src/storage/Folder.ts")

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flaredb-folder-"))
  calls.synced = []
})

afterEach(() => rmSync(root, { recursive: true }))

/** What was synced of the folders in this test's own. */
const synced = () => calls.synced.map((path) => relative(root, path)).filter((path) => !path.startsWith(".."))

it("syncs the parent of each folder that it creates", () => {
  createDirectory(join(root, "a", "b", "node-1"))
  assert.deepEqual(synced(), [join("a", "b"), "a", ""])
})

it("does so for a relative path", () => {
  createDirectory(relative(process.cwd(), join(root, "a", "node-1")))
  assert.deepEqual(synced(), ["a", ""])
})

it("syncs the parents of folders that somebody else has just created", () => {
  mkdirSync(join(root, "a", "b"), { recursive: true })
  createDirectory(join(root, "a", "b", "node-1"))
  assert.deepEqual(synced(), [join("a", "b"), "a", ""])
})

it("syncs them again for a start that found the directory there: the one before may have been killed in between", () => {
  mkdirSync(join(root, "a", "node-1"), { recursive: true })
  createDirectory(join(root, "a", "node-1"))
  assert.deepEqual(synced(), ["a", ""])
})
