/** A leader decodes a command once, to check it and to apply it, but not those that would wait in memory for long. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { maxKeptCommandBytes, maxKeptCommands } from "../../src/node/KeptCommands.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"
import { Words } from "./Words.ts"

it.live("a leader decodes what it keeps once, and all else once more", () =>
  Effect.gen(function*() {
    const words = new Words()
    const cluster = yield* TestCluster.make({ voters: 1, machine: words.machine })
    const leader = yield* cluster.leader()
    /** Proposes words, and says how often one was decoded for it. */
    const decodedFor = (...proposed: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const before = words.decoded
        words.applied.length = 0
        const results = yield* leader.node.propose(proposed.map((word) => Buffer.from(word)))
        const accepted = proposed.filter((_, i) => results[i] instanceof Uint8Array)
        assert.deepStrictEqual(words.applied, accepted)
        return words.decoded - before
      })
    assert.strictEqual(yield* decodedFor("a"), 1)
    assert.strictEqual(yield* decodedFor("a", "", "b"), 3, "one that is refused is not applied")
    assert.strictEqual(yield* decodedFor("x".repeat(maxKeptCommandBytes)), 1)
    assert.strictEqual(yield* decodedFor("x".repeat(maxKeptCommandBytes + 1)), 2)
    const many = Array.from({ length: maxKeptCommands + 10 }, (_, i) => `word ${i}`)
    assert.strictEqual(yield* decodedFor(...many), many.length + 10)
  }).pipe(Effect.scoped))
