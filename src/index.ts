/** `flaredb`: the layers, the services they give, and every error a caller can see. */
export * as FlareDb from "./FlareDb.ts"
export * as FlareDbConfig from "./FlareDbConfig.ts"
export type { FlareDbOptions, Limits, NodeAddress } from "./FlareDbConfig.ts"
export {
  ClusterAdmin,
  Commands,
  Compacted,
  Compare,
  Conflict,
  Fatal,
  formatEndpoint,
  Indeterminate,
  InvalidArgument,
  InvalidConfig,
  InvalidEndpoint,
  KeyValue,
  KeyValueEntry,
  LeaseNotFound,
  localEndpoints,
  NotLeader,
  Op,
  Overloaded,
  parseEndpoint,
  parseEndpoints,
  SessionExpired,
  Unavailable
} from "./client/index.ts"
export type {
  ClientOptions,
  CommandFailure,
  CommandOptions,
  Comparison,
  Data,
  DeleteResult,
  Endpoint,
  ModifyOptions,
  ModifyResult,
  NodeAnswer,
  NodeReport,
  OperationOptions,
  OpPutOptions,
  Ops,
  OpScanOptions,
  Page,
  PutOptions,
  PutResult,
  ReadFailure,
  ReadOptions,
  Results,
  ScanOptions,
  ScanResult,
  TransactOptions,
  Txn,
  TxnResult,
  WriteFailure
} from "./client/index.ts"
export { RaftNode } from "./node/RaftNode.ts"
export { ListenError } from "./rpc/TcpServer.ts"
export { DataDirRefused, StorageCorruption, StorageIoError } from "./storage/StorageError.ts"
