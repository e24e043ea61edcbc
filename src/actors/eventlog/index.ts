/** Effect's event journal and the storages of its event log servers, on the services of `flaredb/client`. */
export type { EventJournalOptions } from "./EventJournal.ts"
export { layer as layerEventJournal } from "./EventJournal.ts"
