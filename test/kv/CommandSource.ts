/** Random commands from a seed, on few keys, leases and sessions, so that they meet. */
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import type { Compare, CompareFigure, CompareOperator, Operation } from "../../src/kv/model/Transaction.ts"
import { compareFigures, compareOperators, transactionProblem } from "../../src/kv/model/Transaction.ts"
import { bytes } from "./Store.ts"

export interface Step {
  readonly index: number
  readonly timestampMs: number
  readonly command: Command
  readonly commandId: CommandId | undefined
}

/** The secret of the session that the entry at an index opens. */
export const secretOf = (index: number): Uint8Array => new Uint8Array(16).fill(index)

/** A generator of commands on few keys, leases and sessions, so that they meet. */
export class Source {
  private state: number
  private timeMs = 1_000
  private readonly sequences = new Map<number, number>()
  readonly ids: Array<number> = []

  constructor(seed: number) {
    this.state = seed
  }

  below(count: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.state / 2 ** 32) * count)
  }

  pick<A>(from: ReadonlyArray<A>): A {
    return from[this.below(from.length)] as A
  }

  key = (): Uint8Array => bytes(`${this.pick(["a", "b", "\xff"])}${this.below(4)}`)
  // A long value makes the reply to a transaction that reads it a large one, and fills blocks of history.
  value = (): Uint8Array => bytes(`v${this.below(5)}${this.below(6) === 0 ? "-".repeat(this.pick([300, 6_000])) : ""}`)
  id = (): number => this.ids.length === 0 || this.below(6) === 0 ? this.below(50) : this.pick(this.ids)
  lease = (): number => this.below(3) === 0 ? this.id() : 0

  compare(): Compare {
    const key = this.key()
    const operator = this.pick<CompareOperator>(compareOperators)
    switch (this.below(3)) {
      case 0:
        return { _tag: "CompareExists", key, exists: this.below(2) === 0 }
      case 1:
        return { _tag: "CompareValue", key, operator, value: this.value() }
      default:
        return {
          _tag: "CompareNumber",
          key,
          figure: this.pick<CompareFigure>(compareFigures),
          operator,
          value: this.below(4)
        }
    }
  }

  operation(): Operation {
    const range = prefixRange(bytes(this.pick(["a", "b", "", "\xff", "a1"])))
    switch (this.below(5)) {
      case 0:
        return { _tag: "Put", key: this.key(), value: this.value(), lease: this.lease() }
      case 1:
        return { _tag: "Delete", key: this.key() }
      case 2:
        return { _tag: "DeleteRange", range }
      case 3:
        return { _tag: "Get", key: this.key() }
      default:
        return {
          _tag: "Range",
          range,
          limit: 1 + this.below(4),
          keysOnly: this.below(2) === 0,
          reverse: this.below(2) === 0
        }
    }
  }

  operations = (): ReadonlyArray<Operation> => Array.from({ length: this.below(4) }, () => this.operation())

  command(index: number, revision: number): Command {
    switch (this.below(14)) {
      case 0:
      case 1:
        return { _tag: "Delete", key: this.key() }
      case 2:
      case 3:
      case 4: {
        for (;;) {
          const transaction = {
            compares: Array.from({ length: this.below(3) }, () => this.compare()),
            success: this.operations(),
            failure: this.operations()
          }
          if (transactionProblem(transaction) === undefined) return { _tag: "Transact", transaction }
        }
      }
      case 5:
        return { _tag: "GrantLease", ttlMs: 1_000 + this.below(5_000) }
      case 6:
        return { _tag: "KeepAlive", lease: Math.max(1, this.id()) }
      case 7:
        return { _tag: "RevokeLease", lease: Math.max(1, this.id()) }
      case 8:
        return { _tag: "Compact", through: this.below(revision + 3) }
      case 9:
        return {
          _tag: "OpenSession",
          ttlMs: this.below(2) === 0 ? 1_000 + this.below(8_000) : 300_000,
          secret: secretOf(index),
          owner: this.pick(["", "orders"])
        }
      case 10:
        if (this.below(6) === 0) return { _tag: "EndSession", session: Math.max(1, this.id()) }
        return { _tag: "Expire", leases: [...this.ids], sessions: [...this.ids] }
      default:
        return { _tag: "Put", key: this.key(), value: this.value(), lease: this.lease() }
    }
  }

  step(index: number, revision: number): Step {
    this.timeMs += this.below(3) === 0 ? 0 : this.below(500) - 50
    // Long silences let sessions be evicted, those with kept replies too.
    if (this.below(30) === 0) this.timeMs += this.below(70_000)
    const command = this.command(index, revision)
    const session = Math.max(1, this.id())
    if (command._tag === "Expire" || this.below(2) === 0) {
      return { index, timestampMs: this.timeMs, command, commandId: undefined }
    }
    const last = this.sequences.get(session) ?? 0
    // One in four is sent again, and now and then something long answered is.
    const sequence = last > 0 && this.below(4) === 0 ? Math.max(1, last - this.below(3)) : last + 1
    this.sequences.set(session, Math.max(last, sequence))
    const answered = Math.max(0, Math.min(sequence - 1, last - this.below(4)))
    // One in ten comes from somebody who guesses.
    const secret = secretOf(this.below(10) === 0 ? session + 1 : session)
    const sent: Command = this.below(40) === 0 ? { _tag: "CloseSession" } : command
    return { index, timestampMs: this.timeMs, command: sent, commandId: { session, sequence, answered, secret } }
  }
}
