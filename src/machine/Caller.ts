/** Who makes a call, once that was proved: by a certificate of the cluster's authority, or by a token. */
export interface Caller {
  /** The client's name: what roles, quotas and owners hang on. */
  readonly name: string
  /** A node of the cluster. Raft trusts its members, so it may do everything. */
  readonly isNode: boolean
  /** The number of the token it showed; absent for a certificate. A token that is removed ends what it opened. */
  readonly token?: number
}

/** Who may always do everything: the first administrator, by a certificate `client/admin` or by the bootstrap token. */
export { administrator } from "../kv/model/access/Role.ts"
