/** What clients of a simulated cluster write and read, drawn from the seed. */
import { prefixRange } from "../../../src/bytes/KeyRange.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import type { Query } from "../../../src/kv/model/Query.ts"
import type { Operation } from "../../../src/kv/model/Transaction.ts"
import type { Random } from "../Random.ts"
import type { Answers } from "./Answers.ts"

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1")

/** What keys of long transactions begin with. */
const wide = bytes("w")

export interface DrawsOptions {
  readonly random: Random
  readonly answers: Answers
  /** How likely a value is large, and a transaction long; and most bytes of such a value. */
  readonly large: number
  readonly largeBytes: number
}

export class Draws {
  private readonly random: Random
  private readonly answers: Answers
  private readonly large: number
  private readonly largeBytes: number

  constructor({ answers, large, largeBytes, random }: DrawsOptions) {
    this.random = random
    this.answers = answers
    this.large = large
    this.largeBytes = largeBytes
  }

  key = (): Uint8Array => bytes(`k${this.random.below(8)}`)
  value = (): Uint8Array => {
    const { large, largeBytes, random } = this
    return bytes(`v${this.answers.next()}`.padEnd(random.chance(large) ? random.below(largeBytes) : 0, "."))
  }

  transact(success: ReadonlyArray<Operation>): Command {
    const unique = this.value()
    return {
      _tag: "Transact",
      transaction: {
        compares: [{ _tag: "CompareValue", key: bytes("never"), operator: "!=", value: unique }],
        success: [],
        // The key does not exist, so every compare of its value is false.
        failure: success
      }
    }
  }

  /** More keys than are read ahead, and an answer that may be too large to be kept. */
  private long(): Command {
    const { random } = this
    const operations: Array<Operation> = [{ _tag: "Put", key: this.key(), value: this.value(), lease: 0 }]
    if (random.chance(0.1)) return this.transact([...operations, { _tag: "DeleteRange", range: prefixRange(wide) }])
    for (let count = 8 + random.below(40); count > 0; count--) {
      // None may be written twice.
      const key = bytes(`w${count}`)
      operations.push(
        random.chance(0.6)
          ? { _tag: "Put", key, value: this.value(), lease: 0 }
          : random.chance(0.9)
          ? { _tag: "Get", key: this.key() }
          : { _tag: "Delete", key }
      )
    }
    for (let count = random.below(4); count > 0; count--) {
      const range = prefixRange(bytes(random.pick(["k", "w", ""])))
      operations.push({ _tag: "Range", range, limit: 100, keysOnly: random.chance(0.2), reverse: random.chance(0.5) })
    }
    return this.transact(operations)
  }

  transaction(): Command {
    const { random } = this
    if (random.chance(this.large * 2)) return this.long()
    const key = this.key()
    const operations: Array<Operation> = [{ _tag: "Put", key, value: this.value(), lease: 0 }]
    if (random.chance(0.3)) operations.push({ _tag: "Get", key: this.key() })
    if (random.chance(0.3)) {
      operations.push({ _tag: "Range", range: prefixRange(bytes("k")), limit: 4, keysOnly: false, reverse: false })
    }
    if (random.chance(0.1)) return this.transact([{ _tag: "DeleteRange", range: prefixRange(bytes("k1")) }])
    return {
      _tag: "Transact",
      transaction: {
        compares: [{ _tag: "CompareNumber", key, figure: "version", operator: "<", value: 1 + random.below(12) }],
        success: operations,
        failure: [{ _tag: "Delete", key }, { _tag: "Put", key: bytes("t"), value: this.value(), lease: 0 }]
      }
    }
  }

  query(): Query {
    const { random } = this
    const key = this.key()
    const range = prefixRange(bytes(random.pick(["k", "l", ""])))
    return random.weighted([["get", 6], ["scan", 2], ["count", 1], ["transaction", 1]]) === "get"
      ? { _tag: "Get", key }
      : random.chance(0.6)
      ? { _tag: "Scan", range, limit: 1 + random.below(12), keysOnly: false, reverse: random.chance(0.3) }
      : random.chance(0.5)
      ? { _tag: "Count", range }
      : {
        _tag: "Transact",
        transaction: { compares: [], success: [{ _tag: "Get", key }, { _tag: "Get", key: this.key() }], failure: [] }
      }
  }
}
