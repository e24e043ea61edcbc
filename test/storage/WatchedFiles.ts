/**
 * The file system as the code under test sees it, for `vi.mock`: each call that changes something is reported before it
 * begins and when it has ended, and may be refused. Nothing is synced: what is durable is the matter of whoever watches.
 */
import type * as Files from "node:fs"
import type * as Promises from "node:fs/promises"
import { promisify } from "node:util"
import type { Call } from "../power-loss/SystemCalls.ts"

/** What the calls of the code under test are reported to; it may refuse to have one begin. */
export interface Watcher {
  readonly begin: (call: Call) => void
  readonly end: (call: Call) => void
  /** What a call waits for before it does anything, if something. */
  readonly held?: (call: Call) => Promise<void> | undefined
}

/** Of the module that mocks the file system: its modules are loaded again, this one among them. */
export interface Watched {
  by: Watcher | undefined
  readonly paths: Map<number, string>
  /** Calls that have begun and not ended. */
  pending: number
}

type Done = (error: Error | null, result?: number) => void

class Reports {
  private readonly watched: Watched

  constructor(watched: Watched) {
    this.watched = watched
  }

  begun(name: string, paths: ReadonlyArray<string>, text = ""): Call {
    const call: Call = { name, paths, text, result: 0 }
    this.watched.by?.begin(call)
    this.watched.pending += 1
    return call
  }

  /** The call is over; one that failed has changed nothing. */
  ended(call: Call, result = 0): void {
    this.watched.pending -= 1
    call.result = result
    if (result >= 0) this.watched.by?.end(call)
  }

  /** Does what a call does, and reports it. */
  async reported(call: Call, real: () => Promise<void>): Promise<void> {
    try {
      await real()
    } catch (error) {
      this.ended(call, -1)
      throw error
    }
    this.ended(call)
  }

  /** The same for a call that ends on the stack of its caller. */
  atOnce<A>(call: Call, real: () => A, result: (value: A) => number): A {
    let value: A
    try {
      value = real()
    } catch (error) {
      this.ended(call, -1)
      throw error
    }
    this.ended(call, result(value))
    return value
  }

  pathOf(descriptor: number): string {
    return this.watched.paths.get(descriptor) ?? ""
  }

  /** A call with a callback at its end, of which `paths` and `text` tell what the trace of a process would. */
  told(
    name: string,
    real: (...parts: Array<never>) => void,
    describe: (parts: ReadonlyArray<unknown>) => readonly [paths: ReadonlyArray<string>, text: string]
  ): (...parts: Array<unknown>) => void {
    return (...parts) => {
      const done = parts.pop() as Done
      let call: Call
      try {
        call = this.begun(name, ...describe(parts))
      } catch (error) {
        return done(error as Error)
      }
      const last: Done = (error, result) => {
        if (error === null && name === "open") this.watched.paths.set(result as number, call.paths[0] as string)
        this.ended(call, error === null ? result : -1)
        done(error, result)
      }
      const begin = () => real(...([...parts, last] as Array<never>))
      const held = this.watched.by?.held?.(call)
      if (held === undefined) begin()
      else void held.then(begin)
    }
  }
}

/** `node:fs` with its calls reported. */
export const watchedFiles = (real: typeof Files, watched: Watched): typeof Files => {
  const reports = new Reports(watched)
  const ofDescriptor = ([descriptor]: ReadonlyArray<unknown>) => [[reports.pathOf(descriptor as number)], ""] as const
  const write = reports.told(
    "pwrite64",
    real.write,
    ([descriptor, , , , at]) => [[reports.pathOf(descriptor as number)], `, ${at}`]
  )
  const promised = (...parts: ReadonlyArray<unknown>) =>
    new Promise((resolve, reject) => {
      write(
        ...parts,
        (error: Error | null, bytesWritten?: number) => error === null ? resolve({ bytesWritten }) : reject(error)
      )
    })
  const open = ([path, flags]: ReadonlyArray<unknown>) =>
    [[path as string], String(flags).startsWith("w") ? "O_CREAT" : ""] as const
  // A real sync would only take time.
  const sync = (name: string) => (descriptor: number): void =>
    reports.atOnce(reports.begun(name, [reports.pathOf(descriptor)]), () => undefined, () => 0)
  return {
    ...real,
    open: reports.told("open", real.open, open),
    openSync: (...parts: Parameters<typeof real.openSync>) => {
      const descriptor = real.openSync(...parts)
      watched.paths.set(descriptor, String(parts[0]))
      return descriptor
    },
    fsync: reports.told("fsync", (_: number, done: Done) => done(null), ofDescriptor),
    fdatasync: reports.told("fdatasync", (_: number, done: Done) => done(null), ofDescriptor),
    fsyncSync: sync("fsync"),
    fdatasyncSync: sync("fdatasync"),
    ftruncate: reports.told("ftruncate", real.ftruncate, ([descriptor, size]) => [
      [reports.pathOf(descriptor as number)],
      `, ${size}`
    ]),
    write: Object.assign(write, { [promisify.custom]: promised }),
    writeSync: (descriptor: number, bytes: Uint8Array, from: number, length: number, at: number) =>
      reports.atOnce(
        reports.begun("pwrite64", [reports.pathOf(descriptor)], `, ${at}`),
        () => real.writeSync(descriptor, bytes, from, length, at),
        (written) => written
      ),
    unlinkSync: (path: string) => reports.atOnce(reports.begun("unlink", [path]), () => real.unlinkSync(path), () => 0)
  } as unknown as typeof Files
}

/** `node:fs/promises` with its calls reported. */
export const watchedPromises = (real: typeof Promises, watched: Watched): typeof Promises => {
  const reports = new Reports(watched)
  return {
    ...real,
    open: async (path: string, flags: string, mode?: number) => {
      const opened = flags.startsWith("w") ? reports.begun("open", [path], "O_CREAT|O_TRUNC") : undefined
      // Where it changes nothing, what has begun it is not over all the same.
      watched.pending += 1
      const file = await real.open(path, flags, mode).catch((error) => {
        if (opened !== undefined) reports.ended(opened, -1)
        throw error
      }).finally(() => {
        watched.pending -= 1
      })
      if (opened !== undefined) reports.ended(opened)
      const synced = async (name: string): Promise<void> =>
        reports.reported(reports.begun(name, [path]), async () => undefined)
      return {
        stat: () => file.stat(),
        read: (...parts: Parameters<typeof file.read>) => file.read(...parts),
        write: async (bytes: Uint8Array) => {
          const call = reports.begun("write", [path])
          const written = await file.write(bytes)
          reports.ended(call, written.bytesWritten)
          return written
        },
        close: () => file.close(),
        sync: () => synced("fsync"),
        datasync: () => synced("fdatasync")
      }
    },
    rename: async (from: string, to: string) => {
      await reports.reported(reports.begun("rename", [from, to]), () => real.rename(from, to))
      for (const [descriptor, path] of watched.paths) if (path === from) watched.paths.set(descriptor, to)
    },
    unlink: async (path: string) => reports.reported(reports.begun("unlink", [path]), () => real.unlink(path))
  } as unknown as typeof Promises
}
