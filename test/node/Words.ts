/** A machine whose commands are words. It says which were applied, and how often any was decoded. */
import { Effect } from "effect"
import { InvalidArgument } from "../../src/FlareDbError.ts"
import * as RowMachine from "../../src/machine/RowMachine.ts"

export class Words {
  readonly applied: Array<string> = []
  decoded = 0

  readonly machine = RowMachine.layer<string, never>({
    name: "words",
    decodeCommand: (bytes) => {
      this.decoded += 1
      return bytes.byteLength > 0
        ? Buffer.from(bytes).toString()
        : new InvalidArgument({ field: "word", problem: "is empty" })
    },
    apply: (_, word) => Effect.sync(() => void this.applied.push(word)).pipe(Effect.as(new Uint8Array(0))),
    decodeQuery: () => new InvalidArgument({ field: "query", problem: "there is none" }),
    query: () => Effect.die("never")
  })
}
