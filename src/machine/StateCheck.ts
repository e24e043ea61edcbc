/**
 * Checks the rows of a state that comes from outside: those of the key-value store all of them, those of another state
 * machine as far as they are the node's own.
 */
import { Result } from "effect"
import type { BackupHeader } from "../protocol/BackupFile.ts"
import { decodeIdentityRow, isIdentityRow } from "../protocol/ClusterIdentity.ts"
import { decodeLevelRow, features, highestLevel, isLevelRow, neededRelease } from "../protocol/FeatureLevel.ts"
import type { StateRow } from "../protocol/StateRows.ts"
import { Reader } from "../bytes/Binary.ts"
import { maxStoredNumber } from "../kv/model/Limits.ts"
import { StateCheck as KvStateCheck } from "../kv/model/StateCheck.ts"
import type { RowsCheck } from "../storage/RowsCheck.ts"
import { version } from "../Version.ts"
import { identityKey } from "./Identity.ts"
import { clockKey, keyValueMachine } from "./StateFacts.ts"

/** What is known about a state before its rows are. */
export interface ExpectedState {
  /** The last entry whose effects it holds. */
  readonly index: number
  /** The highest feature level that this release knows. */
  readonly known: number
  /** The cluster it must be of. */
  readonly identity?: string | undefined
  readonly machine?: string
  readonly revision?: number
  readonly logTimeMs?: number
}

const isKey = (key: Uint8Array, other: Uint8Array): boolean => Buffer.compare(key, other) === 0

const differs = (what: string, expected: string | number | undefined, found: string | number | undefined) =>
  expected === undefined || expected === found
    ? undefined
    : `${what} is ${found === undefined ? "missing" : JSON.stringify(found)}, and not ${JSON.stringify(expected)}`

class StateCheck implements RowsCheck {
  private readonly expected: ExpectedState
  private readonly store: KvStateCheck
  private identity: string | undefined
  private machine: string | undefined
  private timeMs = 0

  constructor(expected: ExpectedState) {
    this.expected = expected
    this.store = new KvStateCheck(expected.index)
  }

  row(row: StateRow): string | undefined {
    if (row.key[0] === 0x01) {
      if (isIdentityRow(row.key)) return this.identityRow(row.value)
      if (isLevelRow(row.key)) return this.levelRow(row.value)
      if (isKey(row.key, identityKey)) return this.machineRow(row.value)
      if (isKey(row.key, clockKey) && this.machine !== undefined) return this.clockRow(row.value)
    }
    return this.machine === undefined ? this.store.row(row) : undefined
  }

  end(): string | undefined {
    const { identity, logTimeMs, machine, revision } = this.expected
    return differs("the cluster identity in the state", identity, this.identity) ??
      differs("the state machine of the state", machine, this.machine ?? keyValueMachine) ??
      (this.machine === undefined ? this.store.end() : undefined) ??
      differs("the revision of the state", revision, this.machine === undefined ? this.store.revision : 0) ??
      differs("the log time of the state", logTimeMs, this.machine === undefined ? this.store.logTimeMs : this.timeMs)
  }

  private identityRow(value: Uint8Array): string | undefined {
    const identity = decodeIdentityRow(value)
    if (Result.isFailure(identity)) return identity.failure.message
    this.identity = identity.success
    return differs("the cluster identity in the state", this.expected.identity, identity.success)
  }

  private levelRow(value: Uint8Array): string | undefined {
    const decoded = decodeLevelRow(value)
    if (Result.isFailure(decoded)) return decoded.failure.message
    const level = decoded.success
    return level.level <= this.expected.known
      ? undefined
      : `the state needs ${neededRelease(level)}; this is flaredb ${version} with level ${this.expected.known}`
  }

  private machineRow(value: Uint8Array): string | undefined {
    this.machine = new TextDecoder().decode(value)
    return differs("the state machine of the state", this.expected.machine, this.machine)
  }

  private clockRow(value: Uint8Array): string | undefined {
    const reader = new Reader(value)
    this.timeMs = reader.u64()
    return reader.complete && this.timeMs <= maxStoredNumber
      ? undefined
      : `the clock is malformed, or beyond ${maxStoredNumber}`
  }
}

/** A check of a state that came from elsewhere. */
export const checkOf = (expected: ExpectedState): RowsCheck => new StateCheck(expected)

/** A check of the rows of a backup, also against what its header says of them. */
export const checkOfBackup = ({ identity, index, logTimeMs, machine, revision }: BackupHeader): RowsCheck =>
  checkOf({ index, known: highestLevel(features).level, identity, machine, revision, logTimeMs })
