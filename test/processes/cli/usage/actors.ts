/** What is seen and done of actors. */
import type { WrongUsage } from "./WrongUsage.ts"

export const actors: WrongUsage = {
  "actors runners": [
    [["actors", "runners", "all"], /"all"/],
    [["actors", "runners", "--cluster", ""], /--cluster is empty/],
    [["actors", "runners", "--endpoints", "localhost"], /"localhost" is not an endpoint/]
  ],
  "actors shards": [
    [["actors", "shards", "all"], /"all"/],
    [["actors", "shards", "--shards-per-group", "0"], /--shards-per-group 0 is not from 1 to 100000/],
    [["actors", "shards"], /SHARDS_PER_GROUP/, { SHARDS_PER_GROUP: "many" }]
  ],
  "actors entities": [
    [["actors", "entities", "all"], /"all"/],
    [["actors", "entities", "--older-than", "60"], /a duration with its unit/],
    [["actors", "entities", "--limit", "0"], /--limit 0 is not from 1 to 10000/],
    [["actors", "entities", "--type", ""], /the type is empty/]
  ],
  "actors messages": [
    [["actors", "messages", "Account"], /Missing required argument: id/],
    [["actors", "messages", "", "1"], /the type is empty/],
    [["actors", "messages", "Account", ""], /the id is empty/],
    [["actors", "messages", "Account", "1", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors queues": [
    [["actors", "queues", "all"], /"all"/],
    [["actors", "queues", "--cluster", ""], /--cluster is empty/],
    [["actors", "queues", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1h/]
  ],
  "actors dead-letters": [
    [["actors", "dead-letters"], /Missing required argument: queue/],
    [["actors", "dead-letters", ""], /the queue is empty/],
    [["actors", "dead-letters", "mails", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors retry": [
    [["actors", "retry"], /Missing required argument: queue/],
    [["actors", "retry", "mails"], /name a dead letter, or add --all to retry every one of them/],
    [["actors", "retry", "mails", "1", "--all"], /--all is every dead letter: name none/],
    [["actors", "retry", "mails", ""], /the id is empty/]
  ],
  "actors drop": [
    [["actors", "drop"], /Missing required argument: queue/],
    [["actors", "drop", "mails"], /name a dead letter, or add --all to drop every one of them/],
    [["actors", "drop", "mails", "1", "--all"], /--all is every dead letter: name none/]
  ],
  "actors workflows": [
    [["actors", "workflows", "Order"], /"Order"/],
    [["actors", "workflows", "--name", ""], /the name is empty/],
    [["actors", "workflows", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors singletons": [
    [["actors", "singletons", "all"], /"all"/],
    [["actors", "singletons", "--cluster", ""], /--cluster is empty/],
    [["actors", "singletons", "--limit", "1"], /--limit/]
  ],
  "actors interrupt message": [
    [["actors", "interrupt", "message"], /Missing required argument: id/],
    [["actors", "interrupt", "message", "first"], /"first" is no id of a message/],
    [["actors", "interrupt", "message", "1", "2"], /"2"/]
  ],
  "actors interrupt workflow": [
    [["actors", "interrupt", "workflow", "Order"], /Missing required argument: execution/],
    [["actors", "interrupt", "workflow", "", "1"], /the name is empty/],
    [["actors", "interrupt", "workflow", "Order", ""], /the execution is empty/]
  ],
  "actors clear": [
    [["actors", "clear", "Account"], /Missing required argument: id/],
    [["actors", "clear", "", "1"], /the type is empty/],
    [["actors", "clear", "Account", "1", "--yes", "2"], /"2"/]
  ],
  "actors migrate": [
    [["actors", "migrate", "all"], /"all"/],
    [["actors", "migrate"], /--from is missing/, { DATABASE_URL: "" }],
    [["actors", "migrate", "--from", "mysql://db/app"], /only PostgreSQL is supported/],
    [["actors", "migrate", "--from", "postgres://db/app", "--dry-run", "--verify"], /exclude each other/],
    [["actors", "migrate", "--from", "postgres://db/app", "--cluster", ""], /--cluster is empty/]
  ]
}
