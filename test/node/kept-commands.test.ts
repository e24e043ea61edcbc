/** A leader decodes a command once, to check it and to apply it, but not those that would wait in memory for long. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { InvalidArgument } from "../../src/FlareDbError.ts"
import * as RowMachine from "../../src/machine/RowMachine.ts"
import { maxKeptCommandBytes, maxKeptCommands } from "../../src/node/KeptCommands.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

it.live("a leader decodes what it keeps once, and all else once more", () =>
  Effect.gen(function*() {
    let decoded = 0
    const applied: Array<string> = []
    const machine = RowMachine.layer<string, never>({
      name: "words",
      decodeCommand: (bytes) => {
        decoded += 1
        return bytes.byteLength > 0
          ? Buffer.from(bytes).toString()
          : new InvalidArgument({ field: "word", problem: "is empty" })
      },
      apply: (_, word) => Effect.sync(() => void applied.push(word)).pipe(Effect.as(new Uint8Array(0))),
      decodeQuery: () => new InvalidArgument({ field: "query", problem: "there is none" }),
      query: () => Effect.die("never")
    })
    const cluster = yield* TestCluster.make({ voters: 1, machine })
    const leader = yield* cluster.leader()
    /** Proposes words, and says how often one was decoded for it. */
    const decodedFor = (...words: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const before = decoded
        applied.length = 0
        const results = yield* leader.node.propose(words.map((word) => Buffer.from(word)))
        const accepted = words.filter((_, i) => results[i] instanceof Uint8Array)
        assert.deepStrictEqual(applied, accepted)
        return decoded - before
      })
    assert.strictEqual(yield* decodedFor("a"), 1)
    assert.strictEqual(yield* decodedFor("a", "", "b"), 3, "one that is refused is not applied")
    assert.strictEqual(yield* decodedFor("x".repeat(maxKeptCommandBytes)), 1)
    assert.strictEqual(yield* decodedFor("x".repeat(maxKeptCommandBytes + 1)), 2)
    const many = Array.from({ length: maxKeptCommands + 10 }, (_, i) => `word ${i}`)
    assert.strictEqual(yield* decodedFor(...many), many.length + 10)
  }).pipe(Effect.scoped))
