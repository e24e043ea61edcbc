/** `flaredb`: the layers, the services they give, and every error a caller can see. */
export * as FlareDb from "./FlareDb.ts"
export * as FlareDbConfig from "./FlareDbConfig.ts"
export type { FlareDbOptions, Limits, NodeAddress } from "./FlareDbConfig.ts"
export {
  ClusterAdmin,
  Fatal,
  formatEndpoint,
  Indeterminate,
  InvalidArgument,
  InvalidConfig,
  InvalidEndpoint,
  KeyValue,
  KeyValueEntry,
  localEndpoints,
  NotLeader,
  Overloaded,
  parseEndpoint,
  parseEndpoints,
  Unavailable
} from "./client/index.ts"
export type {
  ClientOptions,
  Data,
  DeleteResult,
  Endpoint,
  NodeAnswer,
  NodeReport,
  OperationOptions,
  Page,
  PutResult,
  ReadFailure,
  ReadOptions,
  ScanOptions,
  WriteFailure
} from "./client/index.ts"
export { RaftNode } from "./node/RaftNode.ts"
export { ListenError } from "./rpc/TcpServer.ts"
export { DataDirRefused, StorageCorruption, StorageIoError } from "./storage/StorageError.ts"
