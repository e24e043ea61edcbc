/**
 * The file that the audit log writes to. It is appended to in batches and never synced: a machine that loses power
 * loses the last lines with it. At its largest size it becomes `FILE.1`, in place of the one before, and a new one
 * begins.
 */
import { Data, Effect } from "effect"
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { lstat, open, rename } from "node:fs/promises"
import { errorCode } from "../ErrorCode.ts"
import { unwrittenText } from "../ErrorText.ts"
import { writePipe } from "../PipeFile.ts"
import { withoutWaiting } from "../SmallFile.ts"

const adviceOn = (cause: unknown): string =>
  errorCode(cause) === "ENOSPC"
    ? "make room for it, or name another file"
    : "name a file in a folder that exists and that this process may write to"

/** The audit log cannot be written. */
export class AuditFileError extends Data.TaggedError("AuditFileError")<{
  readonly path: string
  readonly cause: unknown
}> {
  override get message() {
    return `the audit log ${this.path} cannot be written: ${unwrittenText(this.cause)}; ${adviceOn(this.cause)}`
  }
}

/** What the audit log needs of its file. */
export interface AuditFile {
  /** Appends whole lines, all of them or none; the reader of a pipe may have got some. One call at a time. */
  readonly append: (lines: string) => Effect.Effect<void, AuditFileError>
  readonly close: Effect.Effect<void>
}

/** Whether the name is a file's own. Others would miss that of a device, a pipe or a link, such as `/dev/stdout`. */
const isPlainFile = async (path: string): Promise<boolean> => (await lstat(path)).isFile()

/** Milliseconds that the reader of a pipe may take nothing: a node that ends waits as long for it. */
const pipeMs = 5_000

const lineFeed = 10

class RotatedFile implements AuditFile {
  private readonly path: string
  private readonly maxBytes: number
  private readonly pipeMs: number
  private handle: FileHandle | undefined
  private isFile = true
  /** Bytes of whole lines. */
  private bytes = 0
  /** Of a line, what the reader of a pipe has yet to get: without it the next one would be no line. */
  private rest: Uint8Array = new Uint8Array(0)

  constructor(path: string, maxBytes: number, pipeMs: number) {
    this.path = path
    this.maxBytes = maxBytes
    this.pipeMs = pipeMs
  }

  readonly append = (lines: string): Effect.Effect<void, AuditFileError> => this.attempt(() => this.write(lines))

  readonly opened: Effect.Effect<void, AuditFileError> = Effect.suspend(() =>
    this.attempt(async () => void await this.open())
  )

  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.ignore(this.attempt(async () => {
      const { handle } = this
      this.handle = undefined
      await handle?.close()
    }))
  )

  private attempt(run: () => Promise<void>): Effect.Effect<void, AuditFileError> {
    return Effect.tryPromise({ try: run, catch: (cause) => new AuditFileError({ path: this.path, cause }) })
  }

  private async open(): Promise<FileHandle> {
    if (this.handle !== undefined) return this.handle
    // A pipe that no process reads from is refused so, and would hold up a thread, for which a node waits at its end.
    const seen = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | withoutWaiting
    const probe = await open(this.path, seen, 0o600).catch((error: unknown) => {
      throw errorCode(error) === "ENXIO" ? new Error("no process reads from this pipe") : error
    })
    // A pipe or a device stays as it was opened: a reader that stops would hold a thread for good.
    if (!(await probe.stat()).isFile()) {
      this.isFile = false
      this.handle = probe
      return probe
    }
    try {
      // No other user may read who did what.
      this.handle = await open(this.path, "a", 0o600)
    } finally {
      await probe.close()
    }
    this.bytes = (await this.handle.stat()).size
    return this.handle
  }

  /** Lines that are taken in part go on with the rest of their last one, whatever comes next. */
  private async pass(handle: FileHandle, lines: Uint8Array): Promise<void> {
    const bytes = Buffer.concat([this.rest, lines])
    let taken = 0
    const onTaken = (more: number) => {
      taken += more
    }
    try {
      await writePipe(handle, bytes, this.pipeMs, onTaken)
      this.rest = bytes.subarray(taken)
    } catch (error) {
      const isWhole = taken === 0 ? this.rest.byteLength === 0 : bytes[taken - 1] === lineFeed
      this.rest = isWhole ? bytes.subarray(0, 0) : bytes.slice(taken, bytes.indexOf(lineFeed, taken) + 1)
      throw error
    }
  }

  private async write(lines: string): Promise<void> {
    let handle = await this.open()
    const bytes = Buffer.from(lines)
    if (!this.isFile) return this.pass(handle, bytes)
    if (this.bytes > 0 && this.bytes + bytes.byteLength > this.maxBytes && await isPlainFile(this.path)) {
      this.handle = undefined
      await handle.close()
      await rename(this.path, `${this.path}.1`)
      handle = await this.open()
    }
    try {
      await handle.appendFile(bytes)
      this.bytes += bytes.byteLength
    } catch (error) {
      // A part may be there, and these lines are written again.
      await handle.truncate(this.bytes).catch(() => undefined)
      throw error
    }
  }
}

/** Opens the file, which may be there, and makes it otherwise. */
export const openAuditFile = (
  path: string,
  maxBytes: number,
  waitMs = pipeMs
): Effect.Effect<AuditFile, AuditFileError> => {
  const file = new RotatedFile(path, maxBytes, waitMs)
  return Effect.as(file.opened, file)
}
