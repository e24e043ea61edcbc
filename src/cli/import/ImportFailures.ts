/** Why an import from etcd does not begin, or does not go on. Each says what to do. */
import { Data } from "effect"

const restartAdvice =
  "start it again with --restart --if-exists replace, which reads the current revision and writes " +
  "what differs"

/** No endpoint of etcd answered for as long as it was asked. */
export class EtcdUnreachable extends Data.TaggedError("EtcdUnreachable")<{
  readonly endpoints: ReadonlyArray<string>
  readonly reason: string
}> {
  override get message() {
    return `etcd cannot be read: ${this.reason}. Are these its client URLs? An import that was begun goes on when ` +
      "it is started again"
  }
}

/** etcd refused a call, and will refuse it again. */
export class EtcdRefused extends Data.TaggedError("EtcdRefused")<{
  readonly endpoint: string
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `etcd at ${this.endpoint} refused ${this.path}: ${this.reason}`
  }
}

/** What answered is no etcd that this command reads. */
export class EtcdUnsupported extends Data.TaggedError("EtcdUnsupported")<{
  readonly endpoint: string
  readonly problem: string
}> {
  override get message() {
    return `${this.endpoint} ${this.problem}`
  }
}

/** Two endpoints belong to two clusters. */
export class EtcdOtherCluster extends Data.TaggedError("EtcdOtherCluster")<{
  readonly endpoint: string
  readonly cluster: string
  readonly expected: string
}> {
  override get message() {
    return `etcd at ${this.endpoint} belongs to cluster ${this.cluster}, and other endpoints to ${this.expected}; ` +
      "give endpoints of one cluster"
  }
}

/** The revision that is read is no longer in etcd. */
export class EtcdCompacted extends Data.TaggedError("EtcdCompacted")<{ readonly revision: number }> {
  override get message() {
    return `etcd has compacted revision ${this.revision} before all of it was read. Have etcd keep its history for ` +
      `longer (--auto-compaction-retention), and ${restartAdvice}`
  }
}

/** An import was made at a revision that etcd does not have yet: it is another etcd, or was restored. */
export class EtcdBehind extends Data.TaggedError("EtcdBehind")<{
  readonly revision: number
  readonly current: number
}> {
  override get message() {
    return `the last import read revision ${this.revision} of etcd, which is at ${this.current} now: its data was ` +
      `replaced since. If this is the etcd that is meant, ${restartAdvice}`
  }
}

/** `exact` would delete all that FlareDB has under the prefix: more often a wrong prefix than a wish. */
export class NothingInEtcd extends Data.TaggedError("NothingInEtcd")<{
  /** Keys that would be deleted, and the first of them. */
  readonly count: number
  readonly first: ReadonlyArray<string>
}> {
  override get message() {
    return `etcd has no key under --prefix, and --exact would delete all ${this.count} that FlareDB has under ` +
      `--to-prefix: ${this.first.slice(0, 3).join(", ")}${this.count > 3 ? ", …" : ""}. Nothing was written. Look ` +
      "at --prefix and --from; if these keys are to go, flaredb delete --prefix deletes them"
  }
}

/** One answer has more bytes than are taken; the reader asks for fewer keys then. */
export class EtcdAnswerTooLarge extends Data.TaggedError("EtcdAnswerTooLarge")<{
  readonly path: string
  readonly maxBytes: number
}> {
  override get message() {
    return `an answer of etcd to ${this.path} has more than ${this.maxBytes} bytes`
  }
}

export type EtcdFailure =
  | EtcdUnreachable
  | EtcdRefused
  | EtcdUnsupported
  | EtcdOtherCluster
  | EtcdCompacted
  | EtcdAnswerTooLarge

/** Keys, values or leases that FlareDB does not take. Nothing was written. */
export class KeysRefused extends Data.TaggedError("KeysRefused")<{
  readonly count: number
  /** The first ones, each with what is wrong. */
  readonly first: ReadonlyArray<string>
}> {
  override get message() {
    return `FlareDB does not take ${this.count} of the keys, and nothing was written: ${
      this.first.slice(0, 3).join("; ")
    }${this.count > 3 ? "; …" : ""}. Change them in etcd, or leave them out with --skip-refused`
  }
}

/** Leases that FlareDB does not take. Nothing was written. */
export class LeasesRefused extends Data.TaggedError("LeasesRefused")<{ readonly problem: string }> {
  override get message() {
    return `${this.problem}. Nothing was written`
  }
}

/** Keys that are in FlareDB with another value or another lease. */
export class KeysExist extends Data.TaggedError("KeysExist")<{
  readonly count: number
  readonly first: ReadonlyArray<string>
  /** Whether the import had begun to write. */
  readonly begun: boolean
}> {
  override get message() {
    return `${this.count} of the keys are in FlareDB with another value or lease${
      this.begun ? "" : ", and nothing was written"
    }: ${this.first.slice(0, 3).join(", ")}${
      this.count > 3 ? ", …" : ""
    }. Keep them with --if-exists skip, write over ` +
      "them with --if-exists replace, or import to a place of its own with --to-prefix"
  }
}

/** Another process writes the same import. */
export class ImportRunning extends Data.TaggedError("ImportRunning")<{ readonly key: string }> {
  override get message() {
    return `another process carries out this import: it has written ${this.key} meanwhile. Let one of them end`
  }
}

/** A row of this command's own was written by another version. */
export class UnknownPosition extends Data.TaggedError("UnknownPosition")<{ readonly key: string }> {
  override get message() {
    return `the row ${this.key} is no position that this version of flaredb wrote; go on with the version that did, ` +
      "or begin again with --restart"
  }
}

/** Both sides were read, and differ. */
export class NotEqual extends Data.TaggedError("NotEqual")<{
  readonly differences: number
  readonly first: ReadonlyArray<string>
  readonly revision: number
}> {
  override get message() {
    return `FlareDB differs from etcd at revision ${this.revision} in ${this.differences} keys: ${
      this.first.slice(0, 3).join("; ")
    }${this.differences > 3 ? "; …" : ""}. Clients that write to FlareDB make such differences; if there are none, ` +
      restartAdvice
  }
}
