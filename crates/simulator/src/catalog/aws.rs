//! CloudTrail calls (request parameters, response elements, resources) and EventBridge events (detail).

use super::{Spec, read, sign_in, write};

const ROLE: &str =
    r#"[{"accountId":"<<account>>","type":"AWS::IAM::Role","ARN":"arn:aws:iam::<<account>>:role/<<target>>"}]"#;
const BUCKET: &str =
    r#"[{"accountId":"<<account>>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::np-<<env>>-<<target>>"}]"#;
const SECRET_RESOURCE: &str = r#"[{"accountId":"<<account>>","type":"AWS::SecretsManager::Secret","ARN":"arn:aws:secretsmanager:<<region>>:<<account>>:secret:<<env>>/<<target>>-a1B2c3"}]"#;
const KEY: &str =
    r#"[{"accountId":"<<account>>","type":"AWS::KMS::Key","ARN":"arn:aws:kms:<<region>>:<<account>>:key/<<link>>"}]"#;

pub(super) const CLOUDTRAIL: &[Spec] = &[
    // Sign-ins
    sign_in("signin:ConsoleLogin", "null", r#"{"ConsoleLogin":"Success"}"#),
    sign_in(
        "sts:AssumeRoleWithSAML",
        r#"{"sAMLAssertionID":"_<<uuid>>","roleSessionName":"<<email>>","durationSeconds":28800,"roleArn":"arn:aws:iam::<<account>>:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_<<team>>","principalArn":"arn:aws:iam::<<account>>:saml-provider/northwind-okta"}"#,
        r#"{"subjectType":"persistent","issuer":"https://northwind.okta.example.com","credentials":{"accessKeyId":"ASIA<<base36>>","sessionToken":"<<secret:session>>","expiration":"<<expires>>"},"nameQualifier":"<<hex8>>","assumedRoleUser":{"assumedRoleId":"AROA<<hex8>>:<<email>>","arn":"arn:aws:sts::<<account>>:assumed-role/AWSReservedSSO_<<team>>/<<email>>"},"subject":"<<email>>","audience":"https://signin.aws.amazon.com/saml"}"#,
    ),
    sign_in(
        "sts:AssumeRoleWithWebIdentity",
        r#"{"roleArn":"arn:aws:iam::<<account>>:role/deploy-<<team>>","roleSessionName":"<<app>>-<<run>>-<<ticket>>","durationSeconds":3600}"#,
        r#"{"credentials":{"accessKeyId":"ASIA<<base36>>","sessionToken":"<<secret:session>>","expiration":"<<expires>>"},"subjectFromWebIdentityToken":"repo:<<repo>>:environment:<<env>>","assumedRoleUser":{"assumedRoleId":"AROA<<hex8>>:<<app>>-<<run>>-<<ticket>>","arn":"arn:aws:sts::<<account>>:assumed-role/deploy-<<team>>/<<app>>-<<run>>-<<ticket>>"},"provider":"arn:aws:iam::<<account>>:oidc-provider/token.actions.githubusercontent.com","audience":"sts.amazonaws.com"}"#,
    ),
    Spec {
        resources: ROLE,
        ..sign_in(
            "sts:AssumeRole",
            r#"{"roleArn":"arn:aws:iam::<<account>>:role/<<target>>","roleSessionName":"<<app>>-<<number>>","durationSeconds":3600,"externalId":"<<hex8>>"}"#,
            r#"{"credentials":{"accessKeyId":"ASIA<<base36>>","sessionToken":"<<secret:session>>","expiration":"<<expires>>"},"assumedRoleUser":{"assumedRoleId":"AROA<<hex8>>:<<app>>-<<number>>","arn":"arn:aws:sts::<<account>>:assumed-role/<<target>>/<<app>>-<<number>>"}}"#,
        )
    },
    // Reads
    read("sts:GetCallerIdentity", "null", ""),
    read(
        "ec2:DescribeInstances",
        r#"{"instancesSet":{"items":[{"instanceId":"i-0<<hex17>>"},{"instanceId":"i-0<<hex17>>"}]},"filterSet":{"items":[{"name":"tag:service","valueSet":{"items":[{"value":"<<app>>"}]}},{"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}}]},"maxResults":1000}"#,
        "",
    ),
    read(
        "ec2:DescribeSecurityGroups",
        r#"{"maxResults":200,"securityGroupSet":{"items":[{"groupId":"sg-0<<hex17>>"}]},"securityGroupIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-0<<hex17>>"}]}}]}}"#,
        "",
    ),
    read("ec2:DescribeVolumes", r#"{"volumeSet":{},"filterSet":{"items":[{"name":"attachment.instance-id","valueSet":{"items":[{"value":"i-0<<hex17>>"}]}}]},"maxResults":500}"#, ""),
    read("ec2:DescribeNetworkInterfaces", r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"description","valueSet":{"items":[{"value":"ELB app/<<app>>/*"}]}}]}}"#, ""),
    read("s3:ListBuckets", r#"{"Host":"s3.<<region>>.amazonaws.com"}"#, ""),
    read("s3:GetBucketPolicy", r#"{"bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com","policy":""}"#, BUCKET),
    read("s3:GetBucketAcl", r#"{"bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com","acl":""}"#, BUCKET),
    read("s3:GetBucketEncryption", r#"{"bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com","encryption":""}"#, BUCKET),
    read("iam:ListUsers", r#"{"maxItems":100}"#, ""),
    read("iam:ListAccessKeys", r#"{"userName":"svc-<<app>>"}"#, ""),
    read("iam:GetRole", r#"{"roleName":"<<target>>"}"#, ""),
    read("iam:ListAttachedRolePolicies", r#"{"roleName":"<<target>>"}"#, ""),
    read("iam:GetPolicyVersion", r#"{"policyArn":"arn:aws:iam::<<account>>:policy/<<target>>","versionId":"v<<count>>"}"#, ""),
    read("kms:Decrypt", r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::np-<<env>>-<<target>>"}}"#, KEY),
    read("kms:GenerateDataKey", r#"{"keyId":"arn:aws:kms:<<region>>:<<account>>:key/<<link>>","keySpec":"AES_256","encryptionContext":{"aws:dynamodb:tableName":"<<target>>","aws:dynamodb:subscriberId":"<<account>>"}}"#, KEY),
    read("secretsmanager:GetSecretValue", r#"{"secretId":"arn:aws:secretsmanager:<<region>>:<<account>>:secret:<<env>>/<<target>>-a1B2c3","versionStage":"AWSCURRENT"}"#, ""),
    read("secretsmanager:ListSecrets", r#"{"maxResults":100,"filters":[{"key":"name","values":["<<env>>/"]}]}"#, ""),
    read("ssm:GetParameter", r#"{"name":"/<<env>>/<<app>>/config","withDecryption":true}"#, ""),
    read("ssm:GetParametersByPath", r#"{"path":"/<<env>>/<<app>>/","recursive":true,"withDecryption":true}"#, ""),
    read("ssm:DescribeInstanceInformation", r#"{"filters":[{"key":"PingStatus","values":["Online"]}],"maxResults":50}"#, ""),
    read("logs:DescribeLogGroups", r#"{"logGroupNamePrefix":"/ecs/<<app>>","limit":50}"#, ""),
    read("logs:FilterLogEvents", r#"{"logGroupName":"/ecs/<<app>>","startTime":<<epoch_ms>>,"filterPattern":"ERROR","limit":10000,"interleaved":true}"#, ""),
    read("cloudwatch:DescribeAlarms", r#"{"alarmNamePrefix":"<<app>>-","maxRecords":100}"#, ""),
    read("ecs:DescribeServices", r#"{"cluster":"<<env>>","services":["<<app>>"],"include":["TAGS"]}"#, ""),
    read("ecs:DescribeTasks", r#"{"cluster":"arn:aws:ecs:<<region>>:<<account>>:cluster/<<env>>","tasks":["arn:aws:ecs:<<region>>:<<account>>:task/<<env>>/<<hex40>>"]}"#, ""),
    read("rds:DescribeDBInstances", r#"{"dBInstanceIdentifier":"<<target>>","maxRecords":100}"#, ""),
    read("lambda:GetFunction20150331v2", r#"{"functionName":"arn:aws:lambda:<<region>>:<<account>>:function:<<target>>"}"#, ""),
    read("cloudtrail:DescribeTrails", r#"{"trailNameList":[],"includeShadowTrails":true}"#, ""),
    read("cloudtrail:GetTrailStatus", r#"{"name":"arn:aws:cloudtrail:<<region>>:<<account>>:trail/org-trail"}"#, ""),
    read("dynamodb:DescribeTable", r#"{"tableName":"<<target>>"}"#, ""),
    read("ecr:BatchGetImage", r#"{"repositoryName":"<<app>>","imageIds":[{"imageTag":"<<hex8>>"}],"acceptedMediaTypes":["application/vnd.oci.image.manifest.v1+json","application/vnd.docker.distribution.manifest.v2+json"]}"#, r#"[{"accountId":"<<account>>","ARN":"arn:aws:ecr:<<region>>:<<account>>:repository/<<app>>"}]"#),
    read("route53:ListResourceRecordSets", r#"{"hostedZoneId":"Z0<<base36>>","maxItems":300}"#, ""),
    read("elasticloadbalancing:DescribeTargetHealth", r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:<<region>>:<<account>>:targetgroup/<<app>>/<<hex17>>"}"#, ""),
    read("config:DescribeConfigRules", r#"{"configRuleNames":["s3-bucket-public-read-prohibited"]}"#, ""),
    // Compute
    write(
        "ec2:RunInstances",
        r#"{"instancesSet":{"items":[{"imageId":"ami-0<<hex17>>","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","blockDeviceMapping":{"items":[{"deviceName":"/dev/xvda","ebs":{"volumeSize":40,"deleteOnTermination":true,"volumeType":"gp3","encrypted":true}}]},"availabilityZone":"<<zone>>","monitoring":{"enabled":false},"subnetId":"subnet-0<<hex17>>","disableApiTermination":false,"clientToken":"<<uuid>>","iamInstanceProfile":{"name":"<<app>>"},"ebsOptimized":true,"tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"service","value":"<<app>>"},{"key":"team","value":"<<team>>"},{"key":"change","value":"<<ticket>>"}]}]},"userData":"<sensitiveDataRemoved>"}"#,
        r#"{"requestId":"<<uuid>>","reservationId":"r-0<<hex17>>","ownerId":"<<account>>","groupSet":{},"instancesSet":{"items":[{"instanceId":"i-0<<hex17>>","imageId":"ami-0<<hex17>>","currentState":{"code":0,"name":"pending"},"instanceState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-4-7-19.<<region>>.compute.internal","amiLaunchIndex":0,"productCodes":{},"instanceType":"m7g.large","launchTime":<<epoch_ms>>,"placement":{"availabilityZone":"<<zone>>","tenancy":"default"},"monitoring":{"state":"disabled"},"subnetId":"subnet-0<<hex17>>","vpcId":"vpc-0<<hex17>>","privateIpAddress":"10.4.7.19","stateReason":{"code":"pending","message":"pending"},"architecture":"arm64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda","blockDeviceMapping":{},"virtualizationType":"hvm","hypervisor":"xen","tagSet":{"items":[{"key":"service","value":"<<app>>"},{"key":"team","value":"<<team>>"}]},"groupSet":{"items":[{"groupId":"sg-0<<hex17>>","groupName":"<<app>>"}]},"sourceDestCheck":true,"networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-0<<hex17>>","subnetId":"subnet-0<<hex17>>","vpcId":"vpc-0<<hex17>>","ownerId":"<<account>>","status":"in-use","macAddress":"02:00:5e:00:53:01","privateIpAddress":"10.4.7.19","sourceDestCheck":true,"interfaceType":"interface"}]},"ebsOptimized":true,"metadataOptions":{"state":"pending","httpTokens":"required","httpPutResponseHopLimit":2,"httpEndpoint":"enabled"}}]}}"#,
        "",
    ),
    write("ec2:TerminateInstances", r#"{"instancesSet":{"items":[{"instanceId":"i-0<<hex17>>"}]}}"#, r#"{"requestId":"<<uuid>>","instancesSet":{"items":[{"instanceId":"i-0<<hex17>>","currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#, ""),
    write("ec2:CreateTags", r#"{"resourcesSet":{"items":[{"resourceId":"i-0<<hex17>>"}]},"tagSet":{"items":[{"key":"aws:autoscaling:groupName","value":"<<app>>"},{"key":"service","value":"<<app>>"},{"key":"team","value":"<<team>>"}]}}"#, r#"{"requestId":"<<uuid>>","_return":true}"#, ""),
    write("ec2:ModifyInstanceAttribute", r#"{"instanceId":"i-0<<hex17>>","instanceType":{"value":"m7g.2xlarge"}}"#, r#"{"requestId":"<<uuid>>","_return":true}"#, ""),
    write("ec2:CreateSnapshot", r#"{"volumeId":"vol-0<<hex17>>","description":"nightly <<app>>","tagSpecificationSet":{"items":[{"resourceType":"snapshot","tags":[{"key":"backup","value":"nightly"}]}]}}"#, r#"{"requestId":"<<uuid>>","snapshotId":"snap-0<<hex17>>","volumeId":"vol-0<<hex17>>","status":"pending","startTime":<<epoch_ms>>,"progress":"","ownerId":"<<account>>","volumeSize":"40","encrypted":true}"#, ""),
    write("ec2:DeleteSnapshot", r#"{"snapshotId":"snap-0<<hex17>>"}"#, r#"{"requestId":"<<uuid>>","_return":true}"#, ""),
    write("autoscaling:SetDesiredCapacity", r#"{"autoScalingGroupName":"<<app>>","desiredCapacity":<<count>>,"honorCooldown":false}"#, "null", ""),
    write(
        "ecs:RegisterTaskDefinition",
        r#"{"family":"<<app>>","taskRoleArn":"arn:aws:iam::<<account>>:role/<<app>>-task","executionRoleArn":"arn:aws:iam::<<account>>:role/ecs-exec","networkMode":"awsvpc","containerDefinitions":[{"name":"<<app>>","image":"<<account>>.dkr.ecr.<<region>>.amazonaws.com/<<app>>:<<commit>>","essential":true,"memory":1024,"portMappings":[{"containerPort":8080}],"environment":[{"name":"STAGE","value":"<<env>>"}],"secrets":[{"name":"DB_URL","valueFrom":"arn:aws:ssm:<<region>>:<<account>>:parameter/<<env>>/<<app>>/db"}],"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/ecs/<<app>>","awslogs-region":"<<region>>","awslogs-stream-prefix":"ecs"}}}],"requiresCompatibilities":["FARGATE"],"cpu":"512","memory":"1024","tags":[{"key":"change","value":"<<ticket>>"},{"key":"commit","value":"<<commit>>"},{"key":"run","value":"<<run>>"}]}"#,
        r#"{"taskDefinition":{"taskDefinitionArn":"arn:aws:ecs:<<region>>:<<account>>:task-definition/<<app>>:<<count>>","family":"<<app>>","revision":<<count>>,"status":"ACTIVE","compatibilities":["EC2","FARGATE"],"cpu":"512","memory":"1024"},"tags":[{"key":"change","value":"<<ticket>>"}]}"#,
        "",
    ),
    write("ecs:UpdateService", r#"{"cluster":"<<env>>","service":"<<app>>","taskDefinition":"<<app>>:<<count>>","desiredCount":4,"forceNewDeployment":false,"deploymentConfiguration":{"maximumPercent":200,"minimumHealthyPercent":100,"deploymentCircuitBreaker":{"enable":true,"rollback":true}}}"#, r#"{"service":{"serviceArn":"arn:aws:ecs:<<region>>:<<account>>:service/<<env>>/<<app>>","serviceName":"<<app>>","clusterArn":"arn:aws:ecs:<<region>>:<<account>>:cluster/<<env>>","status":"ACTIVE","desiredCount":4,"runningCount":4,"pendingCount":0,"launchType":"FARGATE","taskDefinition":"arn:aws:ecs:<<region>>:<<account>>:task-definition/<<app>>:<<count>>","deployments":[{"id":"ecs-svc/<<number>>","status":"PRIMARY","rolloutState":"IN_PROGRESS"}]}}"#, ""),
    write("lambda:UpdateFunctionCode20150331v2", r#"{"functionName":"<<target>>","s3Bucket":"np-artifacts","s3Key":"<<app>>/<<commit>>.zip","publish":true,"dryRun":false}"#, r#"{"functionName":"<<target>>","functionArn":"arn:aws:lambda:<<region>>:<<account>>:function:<<target>>","runtime":"python3.13","role":"arn:aws:iam::<<account>>:role/<<app>>","handler":"app.handler","codeSize":184223,"description":"<<ticket>>","timeout":30,"memorySize":512,"version":"<<count>>","environment":{},"state":"Active","lastUpdateStatus":"InProgress","revisionId":"<<uuid>>"}"#, ""),
    write("lambda:UpdateFunctionConfiguration20150331v2", r#"{"functionName":"<<target>>","timeout":60,"memorySize":1024,"environment":{"variables":{"STAGE":"<<env>>","API_TOKEN":"<<secret:variable>>"}}}"#, r#"{"functionName":"<<target>>","functionArn":"arn:aws:lambda:<<region>>:<<account>>:function:<<target>>","environment":{"variables":{"STAGE":"<<env>>","API_TOKEN":"<<secret:variable>>"}},"revisionId":"<<uuid>>"}"#, ""),
    write("lambda:CreateFunction20150331", r#"{"functionName":"<<target>>","runtime":"python3.13","role":"arn:aws:iam::<<account>>:role/<<app>>","handler":"app.handler","code":{"s3Bucket":"np-artifacts","s3Key":"<<app>>/<<commit>>.zip"},"environment":{"variables":{"API_TOKEN":"<<secret:variable>>"}},"tags":{"change":"<<ticket>>"}}"#, r#"{"functionName":"<<target>>","functionArn":"arn:aws:lambda:<<region>>:<<account>>:function:<<target>>","state":"Pending"}"#, ""),
    write("ecr:PutImage", r#"{"registryId":"<<account>>","repositoryName":"<<app>>","imageTag":"<<commit>>","imageManifestMediaType":"application/vnd.oci.image.manifest.v1+json","imageManifest":"{\n   \"schemaVersion\": 2,\n   \"config\": {\"digest\": \"sha256:<<hex64>>\"}\n}"}"#, r#"{"image":{"registryId":"<<account>>","repositoryName":"<<app>>","imageId":{"imageDigest":"sha256:<<hex64>>","imageTag":"<<commit>>"}}}"#, r#"[{"accountId":"<<account>>","ARN":"arn:aws:ecr:<<region>>:<<account>>:repository/<<app>>"}]"#),
    write("ssm:StartSession", r#"{"target":"i-0<<hex17>>","documentName":"AWS-StartInteractiveCommand","reason":"<<ticket>>"}"#, r#"{"sessionId":"<<email>>-<<base36>>","tokenValue":"Value hidden due to security reasons.","streamUrl":"wss://ssmmessages.<<region>>.amazonaws.com/v1/data-channel/<<email>>-<<base36>>?role=publish_subscribe"}"#, ""),
    write("ssm:PutParameter", r#"{"name":"/<<env>>/<<app>>/db","type":"SecureString","value":"<<secret:password>>","overwrite":true,"tier":"Standard","keyId":"alias/<<app>>"}"#, r#"{"version":<<count>>,"tier":"Standard"}"#, ""),
    write("logs:CreateLogStream", r#"{"logGroupName":"/ecs/<<app>>","logStreamName":"ecs/<<app>>/<<hex40>>"}"#, "null", ""),
    write("logs:DeleteLogGroup", r#"{"logGroupName":"/aws/<<app>>"}"#, "null", ""),
    write("sqs:SetQueueAttributes", r#"{"queueUrl":"https://sqs.<<region>>.amazonaws.com/<<account>>/<<target>>","attributes":{"VisibilityTimeout":"120"}}"#, "null", ""),
    write("cloudwatch:PutMetricAlarm", r#"{"alarmName":"<<app>>-5xx","metricName":"HTTPCode_Target_5XX_Count","namespace":"AWS/ApplicationELB","statistic":"Sum","period":60,"evaluationPeriods":3,"threshold":25,"comparisonOperator":"GreaterThanThreshold","treatMissingData":"notBreaching","actionsEnabled":true,"alarmActions":["arn:aws:sns:<<region>>:<<account>>:pager-<<team>>"]}"#, "null", ""),
    // Data
    write("s3:CreateBucket", r#"{"CreateBucketConfiguration":{"LocationConstraint":"<<region>>","xmlns":"http://s3.amazonaws.com/doc/2006-03-01/"},"bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("s3:PutBucketPolicy", r#"{"bucketName":"np-<<env>>-<<target>>","bucketPolicy":{"Version":"2012-10-17","Statement":[{"Sid":"DenyInsecure","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::np-<<env>>-<<target>>/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]},"Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com","policy":""}"#, "null", BUCKET),
    write("s3:PutBucketPolicy#public", r#"{"bucketName":"np-<<env>>-<<target>>","bucketPolicy":{"Version":"2012-10-17","Statement":[{"Sid":"PublicRead","Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::np-<<env>>-<<target>>","arn:aws:s3:::np-<<env>>-<<target>>/*"]}]},"Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com","policy":""}"#, "null", BUCKET),
    write("s3:DeleteBucketPublicAccessBlock", r#"{"publicAccessBlock":"","bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("s3:PutBucketPublicAccessBlock", r#"{"publicAccessBlock":"","bucketName":"np-<<env>>-<<target>>","PublicAccessBlockConfiguration":{"xmlns":"http://s3.amazonaws.com/doc/2006-03-01/","RestrictPublicBuckets":true,"BlockPublicPolicy":true,"BlockPublicAcls":true,"IgnorePublicAcls":true},"Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("s3:PutBucketAcl#public", r#"{"bucketName":"np-<<env>>-<<target>>","acl":"","x-amz-acl":"public-read","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("s3:PutBucketLifecycle", r#"{"bucketName":"np-<<env>>-<<target>>","lifecycle":"","LifecycleConfiguration":{"xmlns":"http://s3.amazonaws.com/doc/2006-03-01/","Rule":{"ID":"expire","Status":"Enabled","Expiration":{"Days":90},"Filter":{"Prefix":"tmp/"}}},"Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("s3:DeleteBucket", r#"{"bucketName":"np-<<env>>-<<target>>","Host":"np-<<env>>-<<target>>.s3.<<region>>.amazonaws.com"}"#, "null", BUCKET),
    write("rds:CreateDBInstance", r#"{"dBInstanceIdentifier":"<<target>>","allocatedStorage":100,"dBInstanceClass":"db.r7g.large","engine":"postgres","masterUsername":"app","masterUserPassword":"<<secret:password>>","multiAZ":true,"storageEncrypted":true,"publiclyAccessible":false,"tags":[{"key":"change","value":"<<ticket>>"}]}"#, r#"{"dBInstanceIdentifier":"<<target>>","dBInstanceArn":"arn:aws:rds:<<region>>:<<account>>:db:<<target>>","dBInstanceStatus":"creating","pendingModifiedValues":{"masterUserPassword":"****"}}"#, ""),
    write("rds:ModifyDBInstance", r#"{"dBInstanceIdentifier":"<<target>>","dBInstanceClass":"db.r7g.2xlarge","applyImmediately":true,"allowMajorVersionUpgrade":false}"#, r#"{"dBInstanceIdentifier":"<<target>>","dBInstanceArn":"arn:aws:rds:<<region>>:<<account>>:db:<<target>>","dBInstanceClass":"db.r7g.large","engine":"postgres","engineVersion":"17.2","dBInstanceStatus":"available","masterUsername":"app","endpoint":{"address":"<<target>>.c1.<<region>>.rds.amazonaws.com","port":5432},"allocatedStorage":100,"preferredMaintenanceWindow":"sun:02:00-sun:03:00","multiAZ":true,"backupRetentionPeriod":14,"storageEncrypted":true,"deletionProtection":true,"pendingModifiedValues":{"dBInstanceClass":"db.r7g.2xlarge"}}"#, ""),
    write("rds:DeleteDBInstance", r#"{"dBInstanceIdentifier":"<<target>>","skipFinalSnapshot":true,"deleteAutomatedBackups":true}"#, r#"{"dBInstanceIdentifier":"<<target>>","dBInstanceArn":"arn:aws:rds:<<region>>:<<account>>:db:<<target>>","dBInstanceStatus":"deleting"}"#, ""),
    write("rds:CreateDBSnapshot", r#"{"dBInstanceIdentifier":"<<target>>","dBSnapshotIdentifier":"<<target>>-nightly-<<hex8>>"}"#, r#"{"dBSnapshotIdentifier":"<<target>>-nightly-<<hex8>>","dBInstanceIdentifier":"<<target>>","engine":"postgres","status":"creating","allocatedStorage":100,"snapshotType":"manual","encrypted":true,"percentProgress":0}"#, ""),
    write("dynamodb:UpdateTable", r#"{"tableName":"<<target>>","provisionedThroughput":{"readCapacityUnits":400,"writeCapacityUnits":120}}"#, r#"{"tableDescription":{"tableName":"<<target>>","tableStatus":"UPDATING","tableArn":"arn:aws:dynamodb:<<region>>:<<account>>:table/<<target>>","itemCount":219400,"tableSizeBytes":88123004}}"#, ""),
    write("dynamodb:DeleteTable", r#"{"tableName":"<<target>>"}"#, r#"{"tableDescription":{"tableName":"<<target>>","tableStatus":"DELETING","tableArn":"arn:aws:dynamodb:<<region>>:<<account>>:table/<<target>>"}}"#, ""),
    // Identity and keys
    write("iam:CreateAccessKey", r#"{"userName":"svc-<<app>>"}"#, r#"{"accessKey":{"userName":"svc-<<app>>","accessKeyId":"AKIA<<base36>>","status":"Active","createDate":"<<expires>>","secretAccessKey":"<<secret:aws_key>>"}}"#, ""),
    write("iam:DeleteAccessKey", r#"{"userName":"svc-<<app>>","accessKeyId":"AKIA<<base36>>"}"#, "null", ""),
    write("iam:CreateUser", r#"{"userName":"<<target>>","path":"/","tags":[{"key":"change","value":"<<ticket>>"}]}"#, r#"{"user":{"path":"/","userName":"<<target>>","userId":"AIDA<<base36>>","arn":"arn:aws:iam::<<account>>:user/<<target>>","createDate":"<<expires>>"}}"#, ""),
    write("iam:CreateLoginProfile", r#"{"userName":"<<target>>","password":"<<secret:password>>","passwordResetRequired":true}"#, r#"{"loginProfile":{"userName":"<<target>>","createDate":"<<expires>>","passwordResetRequired":true}}"#, ""),
    write("iam:AttachUserPolicy", r#"{"userName":"<<target>>","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#, "null", ""),
    write("iam:CreateRole", r#"{"roleName":"<<target>>","path":"/","assumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"ecs-tasks.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}","tags":[{"key":"change","value":"<<ticket>>"},{"key":"team","value":"<<team>>"}]}"#, r#"{"role":{"path":"/","roleName":"<<target>>","roleId":"AROA<<base36>>","arn":"arn:aws:iam::<<account>>:role/<<target>>","createDate":"<<expires>>"}}"#, ""),
    write("iam:PutRolePolicy", r#"{"roleName":"<<target>>","policyName":"inline-<<app>>","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"sqs:ReceiveMessage\"],\"Resource\":\"*\"}]}"}"#, "null", ""),
    write("iam:AttachRolePolicy", r#"{"roleName":"<<target>>","policyArn":"arn:aws:iam::<<account>>:policy/<<app>>-access"}"#, "null", ""),
    write("iam:AttachRolePolicy#admin", r#"{"roleName":"<<target>>","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#, "null", ""),
    write("iam:UpdateAssumeRolePolicy", r#"{"roleName":"<<target>>","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::999900001111:root\"},\"Action\":\"sts:AssumeRole\"}]}"}"#, "null", ""),
    write("kms:ScheduleKeyDeletion", r#"{"keyId":"<<link>>","pendingWindowInDays":7}"#, r#"{"keyId":"arn:aws:kms:<<region>>:<<account>>:key/<<link>>","deletionDate":"<<expires>>","keyState":"PendingDeletion","pendingWindowInDays":7}"#, KEY),
    write("kms:CreateKey", r#"{"description":"<<app>> <<ticket>>","keyUsage":"ENCRYPT_DECRYPT","origin":"AWS_KMS","multiRegion":false,"bypassPolicyLockoutSafetyCheck":false}"#, r#"{"keyMetadata":{"aWSAccountId":"<<account>>","keyId":"<<link>>","arn":"arn:aws:kms:<<region>>:<<account>>:key/<<link>>","enabled":true,"keyState":"Enabled"}}"#, KEY),
    write("secretsmanager:PutSecretValue", r#"{"secretId":"<<env>>/<<target>>","versionStages":["AWSCURRENT"],"clientRequestToken":"<<uuid>>"}"#, r#"{"arn":"arn:aws:secretsmanager:<<region>>:<<account>>:secret:<<env>>/<<target>>-a1B2c3"}"#, SECRET_RESOURCE),
    write("secretsmanager:RotateSecret", r#"{"secretId":"<<env>>/<<target>>","rotateImmediately":true,"clientRequestToken":"<<uuid>>"}"#, r#"{"arn":"arn:aws:secretsmanager:<<region>>:<<account>>:secret:<<env>>/<<target>>-a1B2c3","versionId":"<<uuid>>"}"#, SECRET_RESOURCE),
    write("secretsmanager:PutResourcePolicy", r#"{"secretId":"<<env>>/<<target>>","resourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::999900001111:root\"},\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}","blockPublicPolicy":false}"#, r#"{"arn":"arn:aws:secretsmanager:<<region>>:<<account>>:secret:<<env>>/<<target>>-a1B2c3"}"#, SECRET_RESOURCE),
    // Network and logging
    write("ec2:AuthorizeSecurityGroupIngress", r#"{"groupId":"sg-0<<hex17>>","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":8443,"toPort":8443,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8","description":"<<ticket>>"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"#, r#"{"requestId":"<<uuid>>","_return":true,"securityGroupRuleSet":{"items":[{"groupOwnerId":"<<account>>","groupId":"sg-0<<hex17>>","securityGroupRuleId":"sgr-0<<hex17>>","isEgress":false,"ipProtocol":"tcp","fromPort":8443,"toPort":8443,"cidrIpv4":"10.0.0.0/8"}]}}"#, ""),
    write("ec2:AuthorizeSecurityGroupIngress#open", r#"{"groupId":"sg-0<<hex17>>","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"groups":{},"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]},"ipv6Ranges":{"items":[{"cidrIpv6":"::/0"}]},"prefixListIds":{}}]}}"#, r#"{"requestId":"<<uuid>>","_return":true,"securityGroupRuleSet":{"items":[{"groupOwnerId":"<<account>>","groupId":"sg-0<<hex17>>","securityGroupRuleId":"sgr-0<<hex17>>","isEgress":false,"ipProtocol":"tcp","fromPort":22,"toPort":22,"cidrIpv4":"0.0.0.0/0"}]}}"#, ""),
    write("ec2:RevokeSecurityGroupIngress", r#"{"groupId":"sg-0<<hex17>>","ipPermissions":{},"securityGroupRuleIds":{"items":[{"securityGroupRuleId":"sgr-0<<hex17>>"}]}}"#, r#"{"requestId":"<<uuid>>","_return":true}"#, ""),
    write("ec2:CreateSecurityGroup", r#"{"groupName":"<<target>>","groupDescription":"<<app>> <<ticket>>","vpcId":"vpc-0<<hex17>>"}"#, r#"{"requestId":"<<uuid>>","_return":true,"groupId":"sg-0<<hex17>>"}"#, ""),
    write("route53:ChangeResourceRecordSets", r#"{"hostedZoneId":"Z0<<base36>>","changeBatch":{"comment":"<<ticket>>","changes":[{"action":"UPSERT","resourceRecordSet":{"name":"<<app>>.<<env>>.example.com","type":"CNAME","tTL":60,"resourceRecords":[{"value":"lb-<<hex8>>.<<region>>.elb.amazonaws.com"}]}}]}}"#, r#"{"changeInfo":{"id":"/change/C<<base36>>","status":"PENDING","submittedAt":"<<expires>>"}}"#, ""),
    write("cloudtrail:StopLogging", r#"{"name":"arn:aws:cloudtrail:<<region>>:<<account>>:trail/org-trail"}"#, "null", ""),
    write("cloudtrail:DeleteTrail", r#"{"name":"arn:aws:cloudtrail:<<region>>:<<account>>:trail/org-trail"}"#, "null", ""),
    write("cloudtrail:PutEventSelectors", r#"{"trailName":"org-trail","eventSelectors":[{"readWriteType":"ReadOnly","includeManagementEvents":false,"dataResources":[],"excludeManagementEventSources":[]}]}"#, r#"{"trailARN":"arn:aws:cloudtrail:<<region>>:<<account>>:trail/org-trail"}"#, ""),
    write("guardduty:UpdateDetector", r#"{"detectorId":"<<hex17>><<hex8>>","enable":false}"#, "null", ""),
];

pub(super) const EVENTBRIDGE: &[Spec] = &[
    write(
        "aws.codepipeline:CodePipeline Pipeline Execution State Change",
        r#"{"pipeline":"<<app>>","execution-id":"<<link>>","execution-trigger":{"trigger-type":"Webhook","trigger-detail":"<<commit>>"},"state":"STARTED","version":4,"pipeline-execution-attempt":1}"#,
        "",
        r#"["arn:aws:codepipeline:<<region>>:<<account>>:<<app>>"]"#,
    ),
    write(
        "aws.codedeploy:CodeDeploy Deployment State-change Notification",
        r#"{"instanceGroupId":"<<uuid>>","region":"<<region>>","application":"<<app>>","deploymentId":"d-<<base36>>","state":"SUCCESS","deploymentGroup":"<<env>>"}"#,
        "",
        r#"["arn:aws:codedeploy:<<region>>:<<account>>:application:<<app>>","arn:aws:codedeploy:<<region>>:<<account>>:deploymentgroup:<<app>>/<<env>>"]"#,
    ),
    write(
        "aws.config:Config Configuration Item Change",
        r#"{"recordVersion":"1.3","messageType":"ConfigurationItemChangeNotification","configurationItemDiff":{"changedProperties":{"Configuration.Tags.0":{"updatedValue":{"key":"change","value":"<<ticket>>"},"changeType":"CREATE"}},"changeType":"UPDATE"},"notificationCreationTime":"<<time_ms>>","configurationItem":{"relatedEvents":[],"relationships":[{"resourceId":"vpc-0<<hex17>>","resourceType":"AWS::EC2::VPC","name":"Is contained in Vpc"}],"configuration":{"groupName":"<<target>>","description":"<<app>>"},"supplementaryConfiguration":{},"tags":{"service":"<<app>>","team":"<<team>>"},"configurationItemVersion":"1.3","configurationItemCaptureTime":"<<time_ms>>","configurationStateId":<<epoch_ms>>,"awsAccountId":"<<account>>","configurationItemStatus":"OK","resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-0<<hex17>>","resourceName":"<<target>>","ARN":"arn:aws:ec2:<<region>>:<<account>>:security-group/sg-0<<hex17>>","awsRegion":"<<region>>","availabilityZone":"Not Applicable","resourceCreationTime":"<<time_ms>>"}}"#,
        "",
        r#"["arn:aws:ec2:<<region>>:<<account>>:security-group/sg-0<<hex17>>"]"#,
    ),
    write(
        "aws.guardduty:GuardDuty Finding",
        r#"{"schemaVersion":"2.0","accountId":"<<account>>","region":"<<region>>","partition":"aws","id":"<<hex40>>","arn":"arn:aws:guardduty:<<region>>:<<account>>:detector/<<hex40>>/finding/<<hex40>>","type":"UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS","resource":{"resourceType":"AccessKey","accessKeyDetails":{"accessKeyId":"ASIA<<base36>>","principalId":"AROA<<base36>>:<<email>>","userType":"AssumedRole","userName":"<<target>>"}},"service":{"serviceName":"guardduty","detectorId":"<<hex40>>","action":{"actionType":"AWS_API_CALL","awsApiCallAction":{"api":"ListBuckets","serviceName":"s3.amazonaws.com","callerType":"Remote IP","remoteIpDetails":{"ipAddressV4":"<<ip>>"}}},"resourceRole":"TARGET","additionalInfo":{},"eventFirstSeen":"<<time>>","eventLastSeen":"<<time>>","archived":false,"count":1},"severity":5,"createdAt":"<<time_ms>>","updatedAt":"<<time_ms>>","title":"Credentials of an instance role were used from an external address.","description":"Credentials for <<target>> are used from <<ip>>."}"#,
        "",
        "[]",
    ),
];
