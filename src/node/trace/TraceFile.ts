/**
 * `flaredb start --trace FILE`: every event of the core and its outputs, as lines of JSON (`node/trace/`). It is for
 * finding out what happened: it holds users' commands, and costs a good part of a node's speed.
 */
import { Data, Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs"
import { unwrittenText } from "../../ErrorText.ts"
import type { StepObserver } from "../StepObserver.ts"
import { snapshotRequestLine, startLine, stepLine } from "./TraceLine.ts"

/** Bytes after which a trace ends, so that it does not fill the disk. */
const maxTraceBytes = 1024 * 1024 * 1024

/** The file of the trace cannot be opened, or not be written any more. A node that was asked for a trace stops. */
class TraceFileError extends Data.TaggedError("TraceFileError")<{
  readonly path: string
  readonly cause: unknown
}> {
  override get message() {
    const cause = unwrittenText(this.cause)
    return `the trace ${this.path} cannot be written: ${cause}. Give another file, or start the node without --trace.`
  }
}

/** What is written to a file at the end of each turn of the event loop. */
class TraceFile {
  private readonly path: string
  private readonly file: number
  private readonly onFull: () => void
  private lines: Array<string> = []
  /** Of the file, with what earlier starts wrote. */
  private bytes: number
  private failure: TraceFileError | undefined

  constructor(path: string, onFull: () => void) {
    this.path = path
    // A node that starts again goes on in the same file. No other user may read the commands.
    this.file = openSync(path, "a+", 0o600)
    const found = fstatSync(this.file)
    // The loop of the node writes it, and would wait for whatever reads it.
    if (found.isFIFO()) throw new Error("it is a pipe, whose reader could hold up the node")
    this.bytes = found.size
    // A node that was killed may have left a part of a line.
    if (!endsWithLine(this.file, this.bytes)) writeSync(this.file, "\n")
    this.onFull = onFull
  }

  /** Throws when an earlier line could not be written: the node stops, because a trace with a gap tells nothing. */
  write(line: string): void {
    if (this.failure !== undefined) throw this.failure
    if (this.bytes > maxTraceBytes) return
    this.bytes += Buffer.byteLength(line) + 1
    if (this.bytes > maxTraceBytes) this.onFull()
    if (this.lines.push(line) === 1) setImmediate(() => this.flush())
  }

  close(): void {
    this.flush()
    closeSync(this.file)
  }

  private flush(): void {
    if (this.lines.length === 0) return
    const text = `${this.lines.join("\n")}\n`
    this.lines = []
    try {
      for (let bytes = Buffer.from(text); bytes.byteLength > 0;) bytes = bytes.subarray(writeSync(this.file, bytes))
    } catch (error) {
      this.failure = new TraceFileError({ path: this.path, cause: error })
    }
  }
}

const endsWithLine = (file: number, size: number): boolean => {
  const last = Buffer.alloc(1)
  return size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a)
}

/** An observer of a node's steps that writes them to `path` until the scope closes. */
export const observer = (path: string): Effect.Effect<StepObserver, TraceFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const full = yield* Deferred.make<void>()
    const trace = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new TraceFile(path, () => Deferred.doneUnsafe(full, Effect.void)),
        catch: (cause) => new TraceFileError({ path, cause })
      }),
      (opened) => Effect.sync(() => opened.close())
    )
    yield* Effect.forkScoped(
      Effect.andThen(Deferred.await(full), Effect.logWarning(`the trace ends: ${path} has ${maxTraceBytes} bytes`))
    )
    return {
      started: (config, recovered) => trace.write(startLine(config, recovered)),
      stepped: (_raft, event, outputs) => trace.write(stepLine(event, outputs)),
      snapshotRequested: (request) => trace.write(snapshotRequestLine(request))
    }
  })
