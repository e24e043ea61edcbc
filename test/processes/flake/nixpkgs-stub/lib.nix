# The functions of nixpkgs' library that FlareDB's files use, with the same names and shapes.
rec {
  fetchers.proxyImpureEnvVars = [ "https_proxy" ];
  replaceStrings = builtins.replaceStrings;
  genAttrs =
    names: make:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = make name;
      }) names
    );
  optionalAttrs = condition: attributes: if condition then attributes else { };
  optionalString = condition: text: if condition then text else "";
  optionals = condition: list: if condition then list else [ ];
  makeLibraryPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/lib") packages);
  importJSON = file: builtins.fromJSON (builtins.readFile file);
  boolToString = value: if value then "true" else "false";
  nameValuePair = name: value: { inherit name value; };
  mapAttrs = builtins.mapAttrs;
  mapAttrs' = make: set: builtins.listToAttrs (map (name: make name set.${name}) (builtins.attrNames set));
  filterAttrs =
    holds: set:
    builtins.listToAttrs (
      map (name: nameValuePair name set.${name}) (
        builtins.filter (name: holds name set.${name}) (builtins.attrNames set)
      )
    );
  splitString = by: text: builtins.filter builtins.isString (builtins.split (escape by) text);
  escape = builtins.replaceStrings [ "." "+" "*" "/" ] [ "\\." "\\+" "\\*" "/" ];
  length = builtins.length;
  last = list: builtins.elemAt list (length list - 1);
  drop = count: list: builtins.genList (i: builtins.elemAt list (i + count)) (length list - count);
  toInt = text: builtins.fromJSON text;
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  findFirst =
    holds: otherwise: list:
    let
      found = builtins.filter holds list;
    in
    if found == [ ] then otherwise else builtins.head found;
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  licenses.asl20.spdxId = "Apache-2.0";

  # Modules: as much as one option tree, one level of imports and fixed values take.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkOption = attributes: attributes // { _type = "option"; };
  mkEnableOption =
    text:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${text}.";
    };
  types = {
    str.check = builtins.isString;
    bool.check = builtins.isBool;
    package.check = value: value ? outPath;
    enum = choices: { check = value: builtins.elem value choices; };
    nullOr = type: { check = value: value == null || type.check value; };
    ints.between = from: to: { check = value: builtins.isInt value && value >= from && value <= to; };
  };

  # The values of a tree of options: what is set, or else the default, each held to its type.
  valuesOf =
    path: options: set:
    if options._type or "" == "option" then
      let
        value = set.value or (options.default or (throw "${path} is used and has no value"));
      in
      if options.type.check value then value else throw "${path} has a value of another type: ${builtins.toJSON value}"
    else
      let
        given = set.value or { };
        unknown = builtins.filter (name: !(options ? ${name})) (builtins.attrNames given);
      in
      if unknown != [ ] then
        throw "${path}.${builtins.head unknown} is no option"
      else
        mapAttrs (
          name: each: valuesOf "${path}.${name}" each (if given ? ${name} then { value = given.${name}; } else { })
        ) options;

  # What `mkIf` says, carried out.
  resolve =
    value:
    if !(builtins.isAttrs value) || value ? outPath then
      value
    else if value._type or "" == "if" then
      (if value.condition then resolve value.content else null)
    else
      filterAttrs (_: each: each != null) (mapAttrs (_: resolve) value);

  # A configuration of NixOS from one file that sets options of one module.
  evalConfig =
    pkgs: given:
    let
      module = builtins.head given.imports {
        config.services.flaredb = values;
        inherit pkgs;
        lib = import ./lib.nix;
      };
      values = valuesOf "services.flaredb" module.options.services.flaredb { value = given.services.flaredb; };
    in
    removeAttrs given [
      "imports"
      "services"
    ]
    // {
      made = resolve module.config;
      options = mapAttrs (_: option: { inherit (option) default description; }) module.options.services.flaredb.settings;
    };
}
