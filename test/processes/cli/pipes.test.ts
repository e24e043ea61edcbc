/**
 * Pipes and endless devices where a file is expected: a command that waits for the other side of a pipe in the system's
 * own open, or reads a device to its end, is deaf to signals and has no end.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync, spawn } from "node:child_process"
import { constants, createReadStream, createWriteStream, readdirSync, readlinkSync, statSync } from "node:fs"
import { open } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { openAuditFile } from "../../../src/callers/AuditFile.ts"
import { writeOutputFile } from "../../../src/cli/output/OutputFile.ts"
import { openPipe, writePipe } from "../../../src/PipeFile.ts"
import { readSmallFile, withoutWaiting } from "../../../src/SmallFile.ts"
import { eventually } from "../../Eventually.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { cleanEnv, launcher } from "../../cluster/Flaredb.ts"
import { runInProcess } from "./InProcess.ts"

const pipe = Effect.map(temporaryFolder, (folder) => {
  const path = `${folder}/pipe`
  execFileSync("mkfifo", ["-m", "600", path])
  return path
})

const tooLarge = (bytes: number) => new Error(`it has ${bytes} bytes`)

describe("a small file", () => {
  it.live("is what comes through a pipe, in pieces and late", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const reading = readSmallFile(path, 1_000, tooLarge, 60_000)
      const writer = createWriteStream(path)
      writer.write("a piece, ")
      setTimeout(() => writer.end("and another"), 50)
      assert.strictEqual(yield* Effect.promise(() => reading), "a piece, and another")
    }).pipe(Effect.scoped))

  it.live("is none that comes from nowhere, or does not end", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const failureOf = (reading: Promise<string>) => reading.then(() => "read", (error: Error) => error.message)
      assert.strictEqual(
        yield* Effect.promise(() => failureOf(readSmallFile(path, 1_000, tooLarge, 20))),
        "it is a pipe, and nothing comes from it"
      )
      assert.match(yield* Effect.promise(() => failureOf(readSmallFile("/dev/zero", 1_000, tooLarge))), /^it has \d+/)
    }).pipe(Effect.scoped))
})

describe("a pipe that is written into", () => {
  it.live("gets all of it, however slowly it is read", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const bytes = Buffer.alloc(1024 * 1024, "x")
      const { mode } = statSync(path)
      const written = yield* Effect.forkChild(writeOutputFile(path, bytes, false, { mode: 0o640 }))
      assert.lengthOf(yield* Effect.promise(() => text(createReadStream(path))), bytes.byteLength)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(written)))
      assert.strictEqual(statSync(path).mode, mode, "others use it too")
    }).pipe(Effect.scoped))

  it.effect("may have no reader for a minute, and can be given up before", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const waiting = yield* Effect.forkChild(Effect.flip(openPipe(path)))
      const other = yield* Effect.forkChild(openPipe(path))
      for (let i = 0; waiting.pollUnsafe() === undefined; i++) {
        assert.isBelow(i, 10_000)
        yield* TestClock.adjust(5_000)
        yield* TestClock.withLive(Effect.sleep(1))
        if (i === 2) yield* Fiber.interrupt(other)
      }
      assert.match(String(yield* Fiber.join(waiting)), /it is a pipe, and no process reads from it/)
    }).pipe(Effect.scoped))

  it.live("fails when its reader takes nothing", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const reader = yield* Effect.promise(() => open(path, constants.O_RDONLY | withoutWaiting))
      const file = yield* openPipe(path)
      const failure = yield* Effect.promise(() =>
        writePipe(file, Buffer.alloc(1024 * 1024), 20).then(() => "written", String)
      )
      assert.match(failure, /no process reads from it/)
      yield* Effect.promise(() => Promise.all([reader.close(), file.close()]))
    }).pipe(Effect.scoped))

  it.live("is no audit log unless something reads from it", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      assert.match(String(yield* Effect.flip(openAuditFile(path, 1_000))), /no process reads from this pipe/)
    }).pipe(Effect.scoped))
})

describe("a pipe whose reader stops", () => {
  it.live("holds up neither the audit log nor its end, and has whole lines when it goes on", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const reader = yield* Effect.promise(() => open(path, constants.O_RDONLY | constants.O_NONBLOCK))
      const file = yield* openAuditFile(path, 1_000, 20)
      const lines = (name: string) => `${JSON.stringify({ name, more: "x".repeat(5_000) })}\n`.repeat(40)
      for (let i = 0; i < 2; i++) {
        assert.match(String(yield* Effect.flip(file.append(lines("lost in part")))), /no process reads from it/)
      }
      let text = ""
      const buffer = Buffer.alloc(1024 * 1024)
      const read = Effect.promise(async () => {
        const { bytesRead } = await reader.read(buffer, 0, buffer.byteLength, null)
        text += buffer.toString("utf8", 0, bytesRead)
      })
      yield* Effect.repeat(read, { until: () => text.length >= 60_000 })
      yield* file.append(`${JSON.stringify({ name: "last" })}\n`)
      yield* read
      yield* file.close
      yield* Effect.promise(() => reader.close())
      const names = text.trimEnd().split("\n").map((line): unknown => JSON.parse(line).name)
      assert.strictEqual(names.at(-1), "last")
      assert.isAbove(names.length, 2)
    }).pipe(Effect.scoped))
})

describe("a pipe with no other side, in place of a file", () => {
  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: RegExp]> = [
    [["get", "k", "--trusted-ca-file", "PIPE"], /it is a pipe, and nothing comes from it/],
    [["get", "k", "--token-file", "PIPE"], /it is a pipe, and nothing comes from it/],
    [["import", "etcd", "--from", "https://127.0.0.1:1", "--etcd-cacert", "PIPE"], /it is a pipe, and nothing comes/],
    [["start", "--node-id", "1", "--trace", "PIPE"], /it is a pipe, whose reader could hold up the node/],
    [["replay", "PIPE"], /it is a pipe; save it to a file/]
  ]
  it.live("is refused by each command, and holds none up", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const refusals = yield* Effect.forEach(
        cases,
        ([args]) => runInProcess(args.map((word) => word === "PIPE" ? path : word)),
        { concurrency: "unbounded" }
      )
      refusals.forEach(({ code, err }, i) => {
        assert.match(err, cases[i]?.[1] ?? /never/)
        assert.notStrictEqual(code, 0)
      })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("does not make a command deaf to signals", () =>
    Effect.gen(function*() {
      const path = yield* pipe
      const child = spawn(process.execPath, [launcher, "get", "k", "--token-file", path], {
        env: { ...process.env, ...cleanEnv({}) },
        stdio: "ignore"
      })
      const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
      const files = `/proc/${child.pid}/fd`
      const targetOf = (name: string) => {
        try {
          return readlinkSync(`${files}/${name}`)
        } catch {
          return "closed meanwhile"
        }
      }
      yield* eventually("it waits for the pipe", () => readdirSync(files).some((name) => targetOf(name) === path))
      child.kill("SIGTERM")
      yield* Effect.promise(() => ended)
    }).pipe(Effect.scoped))
})
