/** `flaredb/client`: what a service needs to use a cluster, without the node, RocksDB or the command line. */
export { Fatal, Indeterminate, InvalidArgument, NotLeader, Overloaded, Unavailable } from "../FlareDbError.ts"
export { InvalidConfig } from "../FlareDbConfig.ts"
export type { ClientOptions } from "./ClientOptions.ts"
export type { NodeReport } from "./ClientRpcs.ts"
export type { NodeAnswer } from "./ClusterAdmin.ts"
export { ClusterAdmin } from "./ClusterAdmin.ts"
export type { Endpoint } from "./Endpoint.ts"
export { formatEndpoint, InvalidEndpoint, localEndpoints, parseEndpoint, parseEndpoints } from "./Endpoint.ts"
export type {
  Data,
  DeleteResult,
  OperationOptions,
  Page,
  PutResult,
  ReadFailure,
  ReadOptions,
  ScanOptions,
  WriteFailure
} from "./KeyValue.ts"
export { KeyValue, KeyValueEntry } from "./KeyValue.ts"
export { layer } from "./RemoteClient.ts"
