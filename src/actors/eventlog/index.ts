/** Effect's event journal and the storages of its event log servers, on the services of `flaredb/client`. */
export type { EventLogStorageOptions } from "./EncryptedStorage.ts"
export { layer as layerEventLogStorageEncrypted } from "./EncryptedStorage.ts"
export type { EventJournalOptions } from "./EventJournal.ts"
export { layer as layerEventJournal } from "./EventJournal.ts"
export type { EventLogUnencryptedStorageOptions } from "./UnencryptedStorage.ts"
export { layer as layerEventLogStorageUnencrypted } from "./UnencryptedStorage.ts"
