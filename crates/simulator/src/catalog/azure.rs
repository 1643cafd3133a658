//! Azure Activity Log operations (request body, response body, path below the resource group) and Entra activities
//! (target resources).

use super::{Spec, read, sign_in, write};

pub(super) const ACTIVITY: &[Spec] = &[
    read(
        "Microsoft.Storage:storageAccounts/listKeys/action",
        "",
        "storageAccounts/st<<app>>",
    ),
    read(
        "Microsoft.Compute:virtualMachines/read",
        "",
        "virtualMachines/<<target>>",
    ),
    read("Microsoft.KeyVault:vaults/read", "", "vaults/kv-<<app>>"),
    read(
        "Microsoft.Resources:deployments/validate/action",
        "",
        "deployments/<<target>>",
    ),
    read(
        "Microsoft.Network:networkSecurityGroups/read",
        "",
        "networkSecurityGroups/nsg-<<app>>",
    ),
    write(
        "Microsoft.Storage:storageAccounts/listKeys/action#body",
        "",
        r#"{"keys":[{"keyName":"key1","value":"<<secret:storage_key>>","permissions":"FULL"},{"keyName":"key2","value":"<<secret:storage_key>>","permissions":"FULL"}]}"#,
        "storageAccounts/st<<app>>",
    ),
    write(
        "Microsoft.Compute:virtualMachines/write",
        r#"{"location":"<<region>>","tags":{"change":"<<ticket>>","team":"<<team>>"},"properties":{"hardwareProfile":{"vmSize":"Standard_D4s_v5"},"osProfile":{"computerName":"<<target>>","adminUsername":"ops","adminPassword":"<<secret:password>>"},"storageProfile":{"osDisk":{"createOption":"FromImage","managedDisk":{"storageAccountType":"Premium_LRS"}}}}}"#,
        r#"{"name":"<<target>>","type":"Microsoft.Compute/virtualMachines","properties":{"provisioningState":"Creating","vmId":"<<uuid>>"}}"#,
        "virtualMachines/<<target>>",
    ),
    write(
        "Microsoft.Compute:virtualMachines/start/action",
        "",
        "",
        "virtualMachines/<<target>>",
    ),
    write(
        "Microsoft.Compute:virtualMachines/deallocate/action",
        "",
        "",
        "virtualMachines/<<target>>",
    ),
    write(
        "Microsoft.Compute:virtualMachines/delete",
        "",
        "",
        "virtualMachines/<<target>>",
    ),
    write(
        "Microsoft.Compute:virtualMachines/runCommand/action",
        r#"{"commandId":"RunShellScript","script":["systemctl restart <<app>>"]}"#,
        "",
        "virtualMachines/<<target>>",
    ),
    write(
        "Microsoft.Compute:snapshots/write",
        r#"{"location":"<<region>>","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"/subscriptions/<<account>>/resourceGroups/rg-<<app>>/providers/Microsoft.Compute/disks/<<target>>"}}}"#,
        r#"{"name":"<<target>>-nightly","properties":{"provisioningState":"Updating"}}"#,
        "snapshots/<<target>>-nightly",
    ),
    write(
        "Microsoft.Web:sites/write",
        r#"{"location":"<<region>>","tags":{"change":"<<ticket>>"},"properties":{"siteConfig":{"linuxFxVersion":"DOCKER|registry.example.com/<<app>>:<<commit>>"},"httpsOnly":true}}"#,
        r#"{"name":"<<app>>","properties":{"state":"Running","defaultHostName":"<<app>>.example.net"}}"#,
        "sites/<<app>>",
    ),
    write("Microsoft.Web:sites/restart/action", "", "", "sites/<<app>>"),
    write(
        "Microsoft.Web:sites/config/write",
        r#"{"properties":{"STAGE":"<<env>>","DB_PASSWORD":"<<secret:password>>"}}"#,
        r#"{"properties":{"STAGE":"<<env>>","DB_PASSWORD":"<<secret:password>>"}}"#,
        "sites/<<app>>/config/appsettings",
    ),
    write(
        "Microsoft.Storage:storageAccounts/write",
        r#"{"tags":{"change":"<<ticket>>"},"properties":{"minimumTlsVersion":"TLS1_2","allowBlobPublicAccess":false}}"#,
        r#"{"name":"st<<app>>","properties":{"provisioningState":"Succeeded"}}"#,
        "storageAccounts/st<<app>>",
    ),
    write(
        "Microsoft.Storage:storageAccounts/write#public",
        r#"{"properties":{"allowBlobPublicAccess":true,"networkAcls":{"defaultAction":"Allow"}}}"#,
        r#"{"name":"st<<app>>","properties":{"allowBlobPublicAccess":true}}"#,
        "storageAccounts/st<<app>>",
    ),
    write(
        "Microsoft.Storage:storageAccounts/blobServices/containers/write#public",
        r#"{"properties":{"publicAccess":"Container"}}"#,
        r#"{"properties":{"publicAccess":"Container"}}"#,
        "storageAccounts/st<<app>>/blobServices/default/containers/<<target>>",
    ),
    write(
        "Microsoft.Storage:storageAccounts/delete",
        "",
        "",
        "storageAccounts/st<<app>>",
    ),
    write(
        "Microsoft.Network:networkSecurityGroups/securityRules/write",
        r#"{"properties":{"protocol":"Tcp","sourceAddressPrefix":"10.0.0.0/8","destinationPortRange":"8443","access":"Allow","direction":"Inbound","priority":300,"description":"<<ticket>>"}}"#,
        r#"{"properties":{"provisioningState":"Updating"}}"#,
        "networkSecurityGroups/nsg-<<app>>/securityRules/<<target>>",
    ),
    write(
        "Microsoft.Network:networkSecurityGroups/securityRules/write#open",
        r#"{"properties":{"protocol":"*","sourceAddressPrefix":"*","destinationPortRange":"3389","access":"Allow","direction":"Inbound","priority":100}}"#,
        r#"{"properties":{"provisioningState":"Updating"}}"#,
        "networkSecurityGroups/nsg-<<app>>/securityRules/<<target>>",
    ),
    write(
        "Microsoft.Authorization:roleAssignments/write",
        r#"{"properties":{"roleDefinitionId":"/subscriptions/<<account>>/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c","principalId":"<<uuid>>","principalType":"User"}}"#,
        r#"{"properties":{"scope":"/subscriptions/<<account>>"}}"#,
        "roleAssignments/<<link>>",
    ),
    write(
        "Microsoft.Insights:diagnosticSettings/write",
        r#"{"properties":{"logs":[{"category":"Administrative","enabled":true}],"eventHubName":"activity"}}"#,
        "",
        "diagnosticSettings/to-siem",
    ),
    write(
        "Microsoft.Insights:diagnosticSettings/delete",
        "",
        "",
        "diagnosticSettings/to-siem",
    ),
    write(
        "Microsoft.KeyVault:vaults/accessPolicies/write",
        r#"{"properties":{"accessPolicies":[{"objectId":"<<uuid>>","permissions":{"secrets":["get","list"]}}]}}"#,
        "",
        "vaults/kv-<<app>>/accessPolicies/add",
    ),
    write(
        "Microsoft.KeyVault:vaults/secrets/write",
        r#"{"properties":{"value":"<<secret:password>>","contentType":"text/plain"}}"#,
        r#"{"properties":{"attributes":{"enabled":true}}}"#,
        "vaults/kv-<<app>>/secrets/<<target>>",
    ),
    write("Microsoft.KeyVault:vaults/delete", "", "", "vaults/kv-<<app>>"),
    write(
        "Microsoft.Sql:servers/databases/delete",
        "",
        "",
        "servers/sql-<<app>>/databases/<<target>>",
    ),
    write(
        "Microsoft.Sql:servers/databases/write",
        r#"{"sku":{"name":"GP_Gen5_4"},"tags":{"change":"<<ticket>>"}}"#,
        r#"{"operation":"UpdateLogicalDatabase"}"#,
        "servers/sql-<<app>>/databases/<<target>>",
    ),
    write(
        "Microsoft.Resources:subscriptions/resourceGroups/delete",
        "",
        "",
        "",
    ),
    write(
        "Microsoft.Resources:deployments/write",
        r#"{"properties":{"mode":"Incremental","parameters":{"ticket":{"value":"<<ticket>>"}}}}"#,
        r#"{"properties":{"provisioningState":"Accepted"}}"#,
        "deployments/<<app>>-<<run>>",
    ),
];

const USER: &str = r#"[{"id":"<<uuid>>","displayName":"<<other.name>>","type":"User","userPrincipalName":"<<other.email>>","modifiedProperties":[{"displayName":"AccountEnabled","oldValue":"[]","newValue":"[true]"},{"displayName":"Included Updated Properties","oldValue":null,"newValue":"\"AccountEnabled\""}],"administrativeUnits":[]}]"#;
const GROUP: &str = r#"[{"id":"<<uuid>>","displayName":null,"type":"User","userPrincipalName":"<<other.email>>","modifiedProperties":[{"displayName":"Group.DisplayName","oldValue":null,"newValue":"\"team-<<team>>\""}],"administrativeUnits":[]},{"id":"<<uuid>>","displayName":null,"type":"Group","groupType":"azureAD","modifiedProperties":[]}]"#;

pub(super) const ENTRA: &[Spec] = &[
    sign_in("SignInLogs:Sign-in activity", "", ""),
    write("UserManagement:Add user", USER, "", ""),
    write("UserManagement:Update user", USER, "", ""),
    write("UserManagement:Disable account", USER, "", ""),
    write("UserManagement:Reset user password", USER, "", ""),
    write("UserManagement:User registered security info", USER, "", ""),
    write("GroupManagement:Add member to group", GROUP, "", ""),
    write("GroupManagement:Remove member from group", GROUP, "", ""),
    write(
        "RoleManagement:Add member to role",
        r#"[{"id":"<<uuid>>","displayName":null,"type":"User","userPrincipalName":"<<other.email>>","modifiedProperties":[{"displayName":"Role.DisplayName","oldValue":null,"newValue":"\"Application Administrator\""}]}]"#,
        "",
        "",
    ),
    write(
        "ApplicationManagement:Update application – Certificates and secrets management",
        r#"[{"id":"<<uuid>>","displayName":"<<app>>","type":"Application","modifiedProperties":[{"displayName":"KeyDescription","oldValue":"[]","newValue":"[\"[KeyIdentifier=<<uuid>>,KeyType=Password,KeyUsage=Verify,DisplayName=ci]\"]"}]}]"#,
        "",
        "",
    ),
    write(
        "ApplicationManagement:Update application#secret",
        r#"[{"id":"<<uuid>>","displayName":"<<app>>","type":"Application","modifiedProperties":[{"displayName":"PasswordCredentials","oldValue":"[]","newValue":"[{\"displayName\":\"ci\",\"secretText\":\"<<secret:password>>\"}]"}]}]"#,
        "",
        "",
    ),
    write(
        "Policy:Update conditional access policy",
        r#"[{"id":"<<uuid>>","displayName":"Require MFA","type":"Policy","modifiedProperties":[{"displayName":"ConditionalAccessPolicy","oldValue":"{\"state\":\"enabled\"}","newValue":"{\"state\":\"enabledForReportingButNotEnforced\"}"}]}]"#,
        "",
        "",
    ),
];
