/**
 * How many operations one call carries: as many as its size allows, and as the answers are expected to. What reads a
 * page of values says only how many bytes that may be at most, which is mostly far more than it is answered with. So
 * such operations share calls by what others of their kind were answered lately, and the first of a kind hardly do.
 */
import { maxBatchBytes } from "../../protocol/ClientRpcs.ts"
import type { Operation } from "./Operation.ts"

/**
 * Most bytes that the answers of one call may have, if each is as large as it can be. Larger ones than expected come in
 * one piece no larger than that, and the next calls carry fewer.
 */
const maxUnforeseenBytes = 32 * 1024 * 1024

/** Answers of operations that are expected to have so many bytes go apart from others. */
const heavyBytes = 256 * 1024

/** Kinds of answers differ by what they may have at most, in steps of so many bytes. */
const kindBytes = 1024 * 1024

/** What is left of an expectation that was too high, with each smaller answer. */
const decline = 0.5

type Sized = Pick<Operation<unknown>, "bytes" | "maxAnswerBytes">

const kindOf = ({ maxAnswerBytes }: Sized): number => Math.ceil(maxAnswerBytes / kindBytes)

export class CallSizes {
  /** Bytes of an answer, by kind. */
  private readonly expected: Array<number> = []
  private readonly maxOperations: number
  private readonly maxAnswerBytes: number

  /**
   * `answersEnd` says that the node ends the answers of a call by itself when they become too many, and has the rest
   * asked for again.
   */
  constructor(maxOperations: number, answersEnd: boolean) {
    this.maxOperations = maxOperations
    this.maxAnswerBytes = answersEnd ? Number.POSITIVE_INFINITY : maxUnforeseenBytes
  }

  /** The end of the call that begins with the operation at `from`. It has one operation at least. */
  endOf(operations: ReadonlyArray<Sized>, from: number): number {
    let bytes = 0
    let most = 0
    const end = Math.min(operations.length, from + this.maxOperations)
    for (let at = from; at < end; at++) {
      const operation = operations[at] as Sized
      bytes += operation.bytes.byteLength + this.expectedBytes(operation)
      most += operation.maxAnswerBytes
      if (at > from && (bytes > maxBatchBytes || most > this.maxAnswerBytes)) return at
    }
    return end
  }

  /** Whether an operation is expected to have a large answer. */
  isHeavy(operation: Sized): boolean {
    return this.expectedBytes(operation) > heavyBytes
  }

  /** An operation was answered with so many bytes. Expectations rise at once, and fall by and by. */
  answered(operation: Sized, bytes: number): void {
    if (operation.maxAnswerBytes === 0) return
    this.expected[kindOf(operation)] = Math.max(bytes, this.expectedBytes(operation) * decline)
  }

  private expectedBytes(operation: Sized): number {
    const { maxAnswerBytes } = operation
    return maxAnswerBytes === 0
      ? 0
      : Math.min(maxAnswerBytes, this.expected[kindOf(operation)] ?? maxAnswerBytes)
  }
}
