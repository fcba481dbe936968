#!/bin/bash
# S002: release automation of a blue-green pair, seven steps: image, smoke test, scale, switch, watch, standby, next cycle.
NAMESPACE=railway-booking
IMAGE=$1

# 1. new image on green
kubectl set image deployment/irctc-tatkal-green tatkal-booking=registry.example.com/irctc/tatkal-booking:$IMAGE -n $NAMESPACE
kubectl rollout status deployment/irctc-tatkal-green -n $NAMESPACE --timeout=300s

# 2. smoke tests before any traffic
STATUS=$(curl -s -o /dev/null -w "%{http_code}" http://tatkal-booking-green-internal:8080/api/v1/tatkal/availability)
if [ "$STATUS" != "200" ]; then
  echo "smoke test failed"
  exit 1
fi
HEALTH=$(curl -s http://tatkal-booking-green-internal:8080/health/database | jq -r .status)
if [ $HEALTH != "healthy" ]; then
  echo "database check failed"
  exit 1
fi

# 3. scale green for the peak
kubectl scale deployment irctc-tatkal-green --replicas=200 -n $NAMESPACE
kubectl rollout status deployment/irctc-tatkal-green -n $NAMESPACE --timeout=600s

# 4. switch
kubectl patch service tatkal-booking-service -n $NAMESPACE -p '{"spec":{"selector":{"version":"green"}}}'

# 5. watch for five minutes
for i in {1..5}; do
  READY=$(kubectl get pods -n $NAMESPACE -l version=green --no-headers | grep Running | wc -l)
  TOTAL=$(kubectl get pods -n $NAMESPACE -l version=green --no-headers | wc -l)
  if [ "$READY" -ne "$TOTAL" ]; then
    kubectl patch service tatkal-booking-service -n $NAMESPACE -p '{"spec":{"selector":{"version":"blue"}}}'
    exit 1
  fi
  sleep 60
done

# 6. blue stays as emergency standby
kubectl scale deployment irctc-tatkal-blue --replicas=10 -n $NAMESPACE

# 7. prepare blue for the next cycle
kubectl set image deployment/irctc-tatkal-blue tatkal-booking=registry.example.com/irctc/tatkal-booking:$IMAGE -n $NAMESPACE
echo "released $IMAGE"
