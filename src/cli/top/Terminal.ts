/**
 * A terminal that a command has for itself: another screen without a cursor, and keys as they are pressed. However the
 * process ends, except by SIGKILL, the terminal is as it was.
 */
import type { Scope } from "effect"
import { Effect, Queue } from "effect"

export type Key = "quit" | "up" | "down" | "faster" | "slower" | "now" | "resize"

const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"

const keys: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["q", "quit"],
  ["Q", "quit"],
  // Ctrl-C and Ctrl-D are characters while the terminal hands on every key.
  ["\u0003", "quit"],
  ["\u0004", "quit"],
  ["\u001b[A", "up"],
  ["\u001bOA", "up"],
  ["k", "up"],
  ["\u001b[B", "down"],
  ["\u001bOB", "down"],
  ["j", "down"],
  ["+", "faster"],
  ["-", "slower"],
  [" ", "now"],
  ["r", "now"]
])

/** The keys in what a terminal sent at once; what it does not know is left out. */
export const keysIn = (text: string): ReadonlyArray<Key> =>
  // eslint-disable-next-line no-control-regex
  (text.match(/\u001b(?:\[|O)[A-Z]|[^\u001b]/g) ?? []).flatMap((sequence) => keys.get(sequence) ?? [])

export interface Terminal {
  readonly keys: Queue.Dequeue<Key>
  readonly size: () => { readonly columns: number; readonly rows: number }
  /** Puts the lines where the last ones were, without a flicker. */
  readonly draw: (lines: ReadonlyArray<string>) => void
}

/** Takes the terminal within the scope. */
export const takeTerminal: Effect.Effect<Terminal, never, Scope.Scope> = Effect.gen(function*() {
  const { stdin, stdout } = process
  const pressed = yield* Queue.sliding<Key>(64)
  const onData = (data: Buffer) => {
    for (const key of keysIn(data.toString("utf8"))) Queue.offerUnsafe(pressed, key)
  }
  const onResize = () => void Queue.offerUnsafe(pressed, "resize")
  let taken = true
  const restore = () => {
    if (!taken) return
    taken = false
    if (stdin.isTTY) stdin.setRawMode(false)
    stdout.write(leave)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      // `exit` comes also when the process is ended by another part of it.
      process.once("exit", restore)
      stdout.write(enter)
      stdout.on("resize", onResize)
      if (!stdin.isTTY) return
      stdin.setRawMode(true)
      stdin.on("data", onData)
      stdin.resume()
    }),
    () =>
      Effect.sync(() => {
        restore()
        process.removeListener("exit", restore)
        stdout.removeListener("resize", onResize)
        stdin.removeListener("data", onData)
        stdin.pause()
      })
  )
  return {
    keys: pressed,
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    draw: (lines) => void stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\r\n")}\u001b[J`)
  }
})
