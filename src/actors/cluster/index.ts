/** Effect's cluster on the key-value store: layers over the services of `flaredb/client`. */
export type { ClusterName } from "./ClusterKeys.ts"
export {
  Contended,
  IdTaken,
  NoMachineId,
  RegistrationContended,
  RequestFinished,
  ShardLockLost,
  UnknownRow
} from "./Failures.ts"
export { HeldShards } from "./HeldShards.ts"
export type { MessageStorageOptions } from "./MessageStorage.ts"
export { layer as layerMessageStorage, makeEncoded as makeEncodedMessageStorage } from "./MessageStorage.ts"
export { MessageTooLarge } from "./MessageSizes.ts"
export { MessageWork } from "./MessageWork.ts"
export type { ReplyWork } from "./ReplyWork.ts"
export type { RetentionOptions } from "./Retention.ts"
export { OtherShardCount } from "./ShardCount.ts"
export { addToTransaction, NoTransaction, TransactionConflict, TransactionRefused } from "./StorageTransaction.ts"
export { layer as layerRunnerHealth } from "./RunnerHealth.ts"
export { layer as layerRunnerStorage } from "./RunnerStorage.ts"
