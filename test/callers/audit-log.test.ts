/** The audit log: what is in a line and what never is, and what happens when its file cannot be written. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, References } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { AuditFile } from "../../src/callers/AuditFile.ts"
import { AuditFileError } from "../../src/callers/AuditFile.ts"
import type { AuditLogOptions, AuditRecord } from "../../src/callers/AuditLog.ts"
import { AuditLog, maxAuditLines, maxStrangerLines, strangerWindowMs } from "../../src/callers/AuditLog.ts"
import { eventually } from "../Eventually.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const record: AuditRecord = { name: "orders", from: "127.0.0.1:5", operation: "Put", ranges: ["\"a\""], outcome: "ok" }

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-audit-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const options = (file: string, more: Partial<AuditLogOptions> = {}) => ({
  file,
  events: "writes" as const,
  strict: false,
  nodeId: 3,
  ...more
})

/** A file that can be written while `isFull` says that it cannot. */
const fileOf = () => {
  const state = { isFull: false, text: "" }
  const file: AuditFile = {
    append: (lines) =>
      Effect.suspend(() => {
        if (state.isFull) return Effect.fail(new AuditFileError({ path: "audit", cause: new Error("ENOSPC") }))
        state.text += lines
        return Effect.void
      }),
    close: Effect.void
  }
  return { state, open: () => Effect.succeed(file) }
}

const write = (log: AuditLog, count = 1) => {
  const refused = log.reserve(count)
  if (refused === undefined) { for (let i = 0; i < count; i++) log.write(record) }
  return refused
}

const dropped = Effect.map(
  Metric.snapshot,
  (all) => all.find(({ id }) => id === "flaredb_audit_dropped_total")?.state as { readonly count: number } | undefined
)

describe("the audit log", () => {
  it.live("writes one line of JSON for each operation, which no other user may read", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "audit.jsonl")
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* AuditLog.make(options(file))
        write(log, 2)
        log.note({ ...record, name: undefined, outcome: "refused: Unauthenticated" })
      }))
      const lines = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.lengthOf(lines, 3)
      assert.match(lines[0].time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.deepInclude(lines[0], { node: 3, ...record })
      assert.deepInclude(lines[2], { name: "-", outcome: "refused: Unauthenticated" })
      assert.strictEqual(statSync(file).mode & 0o777, 0o600)
    }).pipe(Effect.scoped))

  it.live("keeps one file of the largest size beside the one that it writes", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "audit.jsonl")
      const log = yield* AuditLog.make(options(file, { maxFileBytes: 1_000 }))
      let written = 0
      for (let i = 0; i < 40; i++) {
        write(log)
        written += 1
        yield* eventually("the line is written", () => log.table.entries() === 0)
      }
      assert.isAtMost(statSync(file).size, 1_000)
      assert.isAtMost(statSync(`${file}.1`).size, 1_000)
      assert.isBelow(readFileSync(file, "utf8").split("\n").length, written)
    }).pipe(Effect.scoped))

  it.live("leaves a name that is a link, as /dev/stdout is, where it is", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const [file, link] = [join(path, "audit.jsonl"), join(path, "link")]
      writeFileSync(file, "")
      symlinkSync(file, link)
      const log = yield* AuditLog.make(options(link, { maxFileBytes: 1_000 }))
      for (let i = 0; i < 20; i++) {
        write(log)
        yield* eventually("the line is written", () => log.table.entries() === 0)
      }
      assert.isTrue(lstatSync(link).isSymbolicLink())
      assert.lengthOf(readFileSync(file, "utf8").trimEnd().split("\n"), 20)
      assert.isFalse(existsSync(`${link}.1`))
    }).pipe(Effect.scoped))

  it.live("says at the start when its file cannot be opened", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(AuditLog.make(options("/nowhere/audit.jsonl"))))
      assert.match(
        String(Exit.isFailure(exit) && exit.cause),
        /the audit log \/nowhere\/audit\.jsonl cannot be written/
      )
    }))

  it.live("tells of a disk that is full", () =>
    Effect.gen(function*() {
      const log = yield* AuditLog.make(options("/dev/full", { strict: true }))
      write(log)
      yield* eventually("the disk is full", () => log.reserve(0) !== undefined)
      assert.match(log.reserve(1)?.message ?? "", /ENOSPC|no space/i)
    }).pipe(Effect.scoped, quietly))
})

describe("a file that cannot be written", () => {
  it.effect("loses lines and counts them, and operations go on", () =>
    Effect.gen(function*() {
      const { open, state } = fileOf()
      const log = yield* AuditLog.make(options("audit"), open)
      state.isFull = true
      assert.isUndefined(write(log, 5))
      yield* TestClock.adjust(10)
      assert.strictEqual(log.table.entries(), 0)
      assert.strictEqual((yield* dropped)?.count, 5)
      assert.isUndefined(write(log))
      state.isFull = false
      yield* TestClock.adjust(1_000)
      assert.lengthOf(state.text.trimEnd().split("\n"), 1)
    }).pipe(Effect.scoped, quietly, Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("refuses operations when the log is strict, and loses nothing", () =>
    Effect.gen(function*() {
      const { open, state } = fileOf()
      const log = yield* AuditLog.make(options("audit", { strict: true }), open)
      state.isFull = true
      assert.isUndefined(write(log, 5))
      yield* TestClock.adjust(10)
      assert.strictEqual(write(log)?._tag, "Unavailable")
      assert.match(write(log)?.message ?? "", /nothing is done that cannot be audited/)
      // A refusal is no operation, and waits with the others.
      log.note({ ...record, outcome: "refused: Unauthorized" })
      state.isFull = false
      yield* TestClock.adjust(1_000)
      assert.lengthOf(state.text.trimEnd().split("\n"), 6)
      assert.isUndefined(write(log))
      yield* TestClock.adjust(10)
      assert.lengthOf(state.text.trimEnd().split("\n"), 7)
    }).pipe(Effect.scoped, quietly))

  it.effect("keeps strangers from filling it", () =>
    Effect.gen(function*() {
      const { open, state } = fileOf()
      const log = yield* AuditLog.make(options("audit"), open)
      const lines = () => state.text.trimEnd().split("\n")
      for (let i = 0; i < 1_000; i++) {
        log.noteStranger({ ...record, name: undefined, outcome: "refused: Unauthenticated" })
      }
      write(log)
      yield* TestClock.adjust(10)
      assert.lengthOf(lines(), maxStrangerLines + 1)
      yield* TestClock.adjust(strangerWindowMs)
      assert.lengthOf(lines(), maxStrangerLines + 2)
      assert.match(lines().at(-1) ?? "", /940 more of callers that are no users/)
      log.noteStranger(record)
      yield* TestClock.adjust(strangerWindowMs)
      assert.lengthOf(lines(), maxStrangerLines + 3)
    }).pipe(Effect.scoped, quietly))

  it.effect("bounds what waits", () =>
    Effect.gen(function*() {
      const { open, state } = fileOf()
      const log = yield* AuditLog.make(options("audit", { strict: true }), open)
      state.isFull = true
      assert.isUndefined(log.reserve(maxAuditLines))
      assert.match(log.reserve(1)?.message ?? "", /maxAuditLines/)
      log.release(1)
      assert.isUndefined(log.reserve(1))
      log.release(maxAuditLines)
    }).pipe(Effect.scoped, quietly))
})
