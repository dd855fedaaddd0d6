#!/bin/bash
# The walkthroughs of the IAM User Guide through the AWS CLI, unmodified: a user with keys, a group, a role to assume.
set -euo pipefail
checks=0
endpoint=(--endpoint-url "$COFFER_ENDPOINT" --output text)
run() { aws "$@" "${endpoint[@]}"; }

# same FOUND WANTED WHAT
same() {
  checks=$((checks + 1))
  [ "$1" = "$2" ] || { echo "$3: '$1', '$2' was wanted" >&2; exit 1; }
}

# refused CODE COMMAND...
refused() {
  local code=$1 said
  shift
  checks=$((checks + 1))
  if said=$("$@" 2>&1); then echo "$* was not refused: $said" >&2; exit 1; fi
  case $said in *"($code)"*) ;; *) echo "$*: $code was wanted: $said" >&2; exit 1 ;; esac
}

# by ID SECRET TOKEN COMMAND...: with other credentials
by() {
  local id=$1 secret=$2 token=$3
  shift 3
  AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret AWS_SESSION_TOKEN=$token run "$@"
}

account=000000000001
run iam create-user --user-name ann --tags Key=team,Value=blue > /dev/null
same "$(run iam get-user --user-name ann --query User.Arn)" "arn:aws:iam::$account:user/ann" get-user
read -r id secret <<< "$(run iam create-access-key --user-name ann --query 'AccessKey.[AccessKeyId,SecretAccessKey]')"
same "$(by "$id" "$secret" '' sts get-caller-identity --query Arn)" "arn:aws:iam::$account:user/ann" get-caller-identity
refused AccessDenied by "$id" "$secret" '' iam list-users
run iam create-group --group-name readers > /dev/null
run iam attach-group-policy --group-name readers --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess
run iam add-user-to-group --group-name readers --user-name ann
same "$(by "$id" "$secret" '' iam list-users --query 'Users[].UserName')" ann list-users
same "$(run iam list-attached-group-policies --group-name readers --query 'AttachedPolicies[].PolicyName')" ReadOnlyAccess list-attached-group-policies
refused AccessDenied by "$id" "$secret" '' iam create-user --user-name eve
refused EntityAlreadyExists run iam create-user --user-name ann
refused NoSuchEntity run iam get-role --role-name nobody
refused DeleteConflict run iam delete-user --user-name ann

cat > trust.json << END
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::$account:root"},
 "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}}}]}
END
cat > assume.json << END
{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::$account:role/deputy"}}
END
role=$(run iam create-role --role-name deputy --assume-role-policy-document file://trust.json --query Role.Arn)
policy=$(run iam create-policy --policy-name assume --policy-document file://assume.json --query Policy.Arn)
run iam attach-role-policy --role-name deputy --policy-arn arn:aws:iam::aws:policy/AdministratorAccess
assume=(sts assume-role --role-arn "$role" --role-session-name cli --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
refused AccessDenied by "$id" "$secret" '' "${assume[@]}" --external-id agreed
run iam attach-user-policy --user-name ann --policy-arn "$policy"
refused AccessDenied by "$id" "$secret" '' "${assume[@]}" --external-id other
read -r sid ssecret stoken <<< "$(by "$id" "$secret" '' "${assume[@]}" --external-id agreed)"
same "$(by "$sid" "$ssecret" "$stoken" sts get-caller-identity --query Arn)" "arn:aws:sts::$account:assumed-role/deputy/cli" 'a session'
by "$sid" "$ssecret" "$stoken" iam create-user --user-name eve > /dev/null
by "$sid" "$ssecret" "$stoken" iam delete-user --user-name eve
refused InvalidClientTokenId by "$sid" "$ssecret" wrong sts get-caller-identity
run iam detach-role-policy --role-name deputy --policy-arn arn:aws:iam::aws:policy/AdministratorAccess
run iam delete-role --role-name deputy
refused AccessDenied by "$sid" "$ssecret" "$stoken" iam list-users
read -r tid tsecret ttoken <<< "$(by "$id" "$secret" '' sts get-session-token --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')"
same "$(by "$tid" "$tsecret" "$ttoken" sts get-caller-identity --query Arn)" "arn:aws:iam::$account:user/ann" get-session-token

simulated=(iam simulate-principal-policy --policy-source-arn "arn:aws:iam::$account:user/ann")
same "$(run "${simulated[@]}" --action-names sts:AssumeRole --resource-arns "$role" --query 'EvaluationResults[].EvalDecision')" allowed simulate-principal-policy
same "$(run "${simulated[@]}" --action-names iam:CreateUser iam:ListUsers --query 'EvaluationResults[].EvalDecision')" 'implicitDeny	allowed' 'two actions'
same "$(run "${simulated[@]}" --action-names iam:ListUsers --query 'EvaluationResults[].MatchedStatements[].[SourcePolicyId,SourcePolicyType]')" 'ReadOnlyAccess	aws-managed' 'the policy that decides'
dated='{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}'
custom=(iam simulate-custom-policy --policy-input-list "$dated" --action-names dynamodb:CreateBackup)
at() { echo "ContextKeyName='aws:CurrentTime',ContextKeyValues='$1',ContextKeyType=date"; }
place='EvaluationResults[].MatchedStatements[].[StartPosition.Line,StartPosition.Column,EndPosition.Line,EndPosition.Column]'
same "$(run "${custom[@]}" --context-entries "$(at 2019-04-25T11:00:00Z)" --query "$place")" '1	38	1	167' simulate-custom-policy
same "$(run "${custom[@]}" --context-entries "$(at 2014-04-25T11:00:00Z)" --query 'EvaluationResults[].EvalDecision')" implicitDeny 'too early'
same "$(run "${custom[@]}" --query 'EvaluationResults[].MissingContextValues[]')" aws:CurrentTime 'a missing value'
refused InvalidInput run "${custom[@]}" --resource-handling-option EC2-VPC-EBS
same "$(run iam get-context-keys-for-custom-policy --policy-input-list "$dated" --query ContextKeyNames)" aws:CurrentTime get-context-keys-for-custom-policy
run iam detach-user-policy --user-name ann --policy-arn "$policy"
run iam delete-policy --policy-arn "$policy"
run iam remove-user-from-group --group-name readers --user-name ann
run iam detach-group-policy --group-name readers --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess
run iam delete-group --group-name readers
run iam delete-access-key --user-name ann --access-key-id "$id"
refused InvalidClientTokenId by "$id" "$secret" '' sts get-caller-identity
run iam delete-user --user-name ann
same "$(run iam list-users --query 'length(Users)')" 0 'nobody is left'
echo "$checks checks"
