/** What a terminal shows of a value, which is more careful than a pipe. */
import { assert, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import * as Output from "../../src/cli/output/Output.ts"

const bytes = Uint8Array.of(0xff, 0x1b, 0x5b)

/** What `Output.value` prints through the console while standard output is a terminal, or is none. */
const printed = (isTTY: boolean, value: Output.Cell) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = Object.getOwnPropertyDescriptor(process.stdout, "isTTY")
      Object.defineProperty(process.stdout, "isTTY", { value: isTTY, configurable: true })
      return before
    }),
    () => {
      const lines: Array<unknown> = []
      const console: Console.Console = { ...globalThis.console, log: (line: unknown) => lines.push(line) }
      return Effect.as(Effect.provideService(Output.value(value, false), Console.Console, console), lines)
    },
    (before) =>
      Effect.sync(() => {
        if (before === undefined) Reflect.deleteProperty(process.stdout, "isTTY")
        else Object.defineProperty(process.stdout, "isTTY", before)
      })
  )

it.effect("a terminal is shown no control character of a value, and no bytes that are no text", () =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* printed(true, bytes), ["(base64) /xtb"])
    assert.deepStrictEqual(yield* printed(true, "\u001b[2J\n"), ["\\u001b[2J\n"])
    assert.deepStrictEqual(yield* printed(false, "\u001b[2J\n"), ["\u001b[2J\n"])
  }))
