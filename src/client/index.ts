/** `flaredb/client`: what a service needs to use a cluster, without the node, RocksDB or the command line. */
export {
  Compacted,
  Conflict,
  Fatal,
  FutureRevision,
  Indeterminate,
  InvalidArgument,
  LeaseLost,
  LeaseNotFound,
  NotLeader,
  Overloaded,
  ResultsNotKept,
  SessionExpired,
  Unauthenticated,
  Unauthorized,
  Unavailable,
  WrongCluster
} from "../FlareDbError.ts"
export type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
export { InvalidConfig } from "../config/ConfigProblem.ts"
export type { BackupFailure } from "./Backups.ts"
export type { NodeHash, VerifyOptions } from "./connection/NodeHashes.ts"
export { Backups, layer as layerBackups } from "./Backups.ts"
export type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
export type { AccessListOptions, AccessPage, CreatedToken, RoleOptions, TokenOptions, UserOptions } from "./Access.ts"
export { Access } from "./Access.ts"
export type { Role } from "../kv/model/access/Role.ts"
export type { TokenRow, UserRow } from "../kv/model/access/AccessReply.ts"
export type { ClientOptions, ClientTls } from "./ClientOptions.ts"
export type { ClientToken } from "./connection/Hello.ts"
export type { Credentials, KeyMaterial } from "../net/tls/Credentials.ts"
export type { FileTls } from "./CertificateFiles.ts"
export { certificatesFromFiles, certificatesFromFolder, identityFromEnv, tokenFromFile } from "./CertificateFiles.ts"
export type { FileCredentials } from "../net/tls/FileCredentials.ts"
export type { CredentialsFiles } from "../net/tls/MaterialCheck.ts"
export { CredentialsError } from "../net/tls/MaterialCheck.ts"
export { MemoryCredentials } from "../net/tls/Credentials.ts"
export type { NodeReport } from "../protocol/NodeReport.ts"
export type { NodeAnswer, SessionPage, SessionsOptions, VitalsAnswer } from "./ClusterAdmin.ts"
export type { SessionRow } from "../kv/model/Reply.ts"
export { ClusterAdmin } from "./ClusterAdmin.ts"
export type { CommandFailure, CommandOptions } from "./Commands.ts"
export { Commands } from "./Commands.ts"
export type { CampaignOptions, Leader, Leadership } from "./Election.ts"
export { Elections } from "./Election.ts"
export type { Endpoint } from "./connection/Endpoint.ts"
export {
  formatEndpoint,
  InvalidEndpoint,
  localEndpoints,
  parseEndpoint,
  parseEndpoints
} from "./connection/Endpoint.ts"
export type { Data } from "./Entry.ts"
export { KeyValueEntry } from "./Entry.ts"
export type { ModifyOptions, ModifyResult, Page, PutOptions, ScanOptions, TransactOptions } from "./KeyValue.ts"
export { KeyValue } from "./KeyValue.ts"
export type { HeldLease, Lease, LeaseDetails, LeaseStatus } from "./Lease.ts"
export { Leases } from "./Lease.ts"
export type { WaitQueueFailure } from "./WaitQueue.ts"
export type { HeldLock, LockFailure, LockHolder, LockOptions } from "./Lock.ts"
export { Locks } from "./Lock.ts"
export type { MirrorFailure, MirrorOptions } from "./Mirror.ts"
export { Mirror, MirrorFull } from "./Mirror.ts"
export { Position } from "./Position.ts"
export { isOutcomeUnknown, isRetryable } from "./Retry.ts"
export type { ClientRequests, OperationOptions, ReadFailure, ReadOptions, WriteFailure } from "./session/Requests.ts"
export type {
  Comparison,
  DeleteResult,
  OpPutOptions,
  Ops,
  OpScanOptions,
  PutResult,
  Results,
  ScanResult,
  Txn,
  TxnResult
} from "./Txn.ts"
export { Compare, Op } from "./Txn.ts"
export type { WatchedRange, WatchFailure, WatchHandle, WatchOptions, WatchTarget } from "./Watch.ts"
export type { Began, Changes, Listed, Progress, WatchEvent, WatchNotice } from "./WatchNotice.ts"
export { Watch } from "./Watch.ts"
export { DeleteEvent, PutEvent } from "./WatchNotice.ts"
export type { ClientServices } from "./RemoteClient.ts"
export { layer } from "./RemoteClient.ts"
export type { CommandServices } from "./RemoteCommands.ts"
export { layer as layerCommands } from "./RemoteCommands.ts"
