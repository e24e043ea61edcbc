# A node of FlareDB as a NixOS service, and backups of a cluster. Every setting of docs/configuration.md is an option of its
# name below `services.flaredb.settings`. What the process may do is what deploy/systemd says; a test compares the two.
{ packageFor }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.flaredb;
  inherit (lib) mkIf mkOption types;

  # Made from the tables in src/config by test/processes/flake/module.test.ts.
  table = lib.importJSON ./settings.json;

  typeOf =
    setting:
    {
      # Paths stay strings: as a path of Nix, a key would be copied into the store, where everybody may read it.
      text = types.str;
      switch = types.bool;
      choice = types.enum setting.choices;
      integer = types.ints.between setting.minimum setting.maximum;
    }
    .${setting.kind};

  written = value: if builtins.isBool value then lib.boolToString value else toString value;

  variablesOf =
    settings:
    lib.mapAttrs' (name: value: lib.nameValuePair table.${name}.variable (written value)) (
      lib.filterAttrs (_: value: value != null) settings
    );

  # ID=HOST:CLIENT:PEER:HTTP; a host may have colons of its own.
  ownEntry = lib.findFirst (lib.hasPrefix "${toString cfg.settings.nodeId}=") null (
    lib.splitString "," cfg.settings.nodes
  );
  ownPorts =
    let
      parts = lib.splitString ":" ownEntry;
    in
    map lib.toInt (lib.drop (lib.length parts - 3) parts);

  keepOption =
    what: default:
    mkOption {
      type = types.ints.between 0 10000;
      inherit default;
      description = "Of how many ${what} the newest one stays.";
    };

  hardening = {
    UMask = "0077";
    LimitCORE = 0;
    AmbientCapabilities = "";
    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    KeyringMode = "private";
    LockPersonality = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateIPC = true;
    PrivateTmp = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
  };
in
{
  options.services.flaredb = {
    enable = lib.mkEnableOption "a node of FlareDB";

    package = mkOption {
      type = types.package;
      default = packageFor pkgs;
      defaultText = lib.literalExpression "flaredb.packages.\${system}.default";
      description = "The package to run.";
    };

    settings = lib.mapAttrs (
      _: setting:
      mkOption {
        type = types.nullOr (typeOf setting);
        default = null;
        description = "${setting.text}. Default: ${setting.default}.";
      }
    ) table;

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the three ports of this node to everybody who reaches the machine.";
    };

    backup = {
      enable = lib.mkEnableOption "backups of the cluster on a schedule; one machine makes them";
      endpoints = mkOption {
        type = types.str;
        example = "10.0.0.1:7001,10.0.0.2:7001,10.0.0.3:7001";
        description = "Client endpoints of the nodes.";
      };
      certsDir = mkOption {
        type = types.str;
        default = "/etc/flaredb/backup-certs";
        description = "Folder with ca.crt, client.crt and client.key of a client that may make backups.";
      };
      directory = mkOption {
        type = types.str;
        default = "/var/lib/flaredb-backups";
        description = "Where they are kept.";
      };
      every = mkOption {
        type = types.str;
        default = "1h";
        description = "Time between two.";
      };
      keepHourly = keepOption "hours" 24;
      keepDaily = keepOption "days" 14;
      keepWeekly = keepOption "weeks" 4;
    };
  };

  config = mkIf (cfg.enable || cfg.backup.enable) {
    assertions = [
      {
        assertion = !cfg.enable || cfg.settings.nodeId != null;
        message = "services.flaredb.settings.nodeId says which node this is, and has no default";
      }
      {
        assertion = !cfg.openFirewall || (cfg.settings.nodes != null && ownEntry != null);
        message = "services.flaredb.openFirewall opens the ports that settings.nodes has for settings.nodeId";
      }
    ];

    users.users.flaredb = {
      isSystemUser = true;
      group = "flaredb";
    };
    users.groups.flaredb = { };

    # The command line, for operators.
    environment.systemPackages = [ cfg.package ];

    networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall ownPorts;

    systemd.services = {
      flaredb = mkIf cfg.enable {
        description = "FlareDB node";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        startLimitIntervalSec = 60;
        startLimitBurst = 5;
        environment = {
          # What a node's process needs (src/cli/launch/ProcessSettings.ts).
          UV_THREADPOOL_SIZE = "8";
          MALLOC_ARENA_MAX = "2";
          NODE_OPTIONS = "--max-semi-space-size=8 --max-old-space-size=1536";
          FLAREDB_DATA_DIR = "/var/lib/flaredb/node-${toString cfg.settings.nodeId}";
        }
        // variablesOf cfg.settings;
        serviceConfig = hardening // {
          Type = "exec";
          User = "flaredb";
          Group = "flaredb";
          ExecStart = "${cfg.package}/bin/flaredb start";
          ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
          Restart = "on-failure";
          RestartSec = 1;
          RestartPreventExitStatus = 2;
          TimeoutStopSec = 30;
          LimitNOFILE = 65536;
          StateDirectory = "flaredb";
          StateDirectoryMode = "0700";
        };
      };

      flaredb-backups = mkIf cfg.backup.enable {
        description = "Backups of a FlareDB cluster";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        environment = {
          FLAREDB_ENDPOINTS = cfg.backup.endpoints;
          FLAREDB_CERTS_DIR = cfg.backup.certsDir;
        };
        serviceConfig = hardening // {
          Type = "exec";
          User = "flaredb";
          Group = "flaredb";
          ExecStart = builtins.concatStringsSep " " [
            "${cfg.package}/bin/flaredb backups run"
            "--dir ${cfg.backup.directory}"
            "--every ${cfg.backup.every}"
            "--keep-hourly ${toString cfg.backup.keepHourly}"
            "--keep-daily ${toString cfg.backup.keepDaily}"
            "--keep-weekly ${toString cfg.backup.keepWeekly}"
            "--metrics-file /run/flaredb-backups/flaredb.prom"
          ];
          Restart = "on-failure";
          RestartSec = 30;
          RestartPreventExitStatus = 2;
          TimeoutStopSec = 30;
          StateDirectory = "flaredb-backups";
          StateDirectoryMode = "0700";
          RuntimeDirectory = "flaredb-backups";
          RuntimeDirectoryMode = "0755";
          RuntimeDirectoryPreserve = true;
          ReadWritePaths = cfg.backup.directory;
          Nice = 10;
          IOSchedulingClass = "idle";
        };
      };
    };
  };
}
